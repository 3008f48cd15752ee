/** The panel with the controls of the camera's picture, for people who may set them. */

import { For, Match, Show, Switch } from 'solid-js';
import { CloseIcon } from '../parts/icons';
import type { Control, Image, Value } from './image';

export function ImagePanel(props: { image: Image; onClose: () => void }) {
  return (
    <aside class="image-panel" id="image-panel" data-testid="image-panel" aria-label="Picture settings">
      <div class="image-panel-head">
        <h2>Picture</h2>
        <button class="inline" type="button" data-testid="image-reset" onClick={() => props.image.reset()}>
          Reset
        </button>
        <button class="quiet" type="button" aria-label="Close picture settings" onClick={() => props.onClose()}>
          <CloseIcon />
        </button>
      </div>
      <div class="image-panel-trouble" role="alert">
        <Show when={props.image.trouble()}>{(text) => <p class="trouble">{text()}</p>}</Show>
      </div>
      <ul class="image-controls">
        <For each={props.image.controls}>
          {(control) => <Row control={control} onSet={(value) => props.image.set(control.name, value)} />}
        </For>
      </ul>
    </aside>
  );
}

function Row(props: { control: Control; onSet: (value: Value) => void }) {
  const number = () => (props.control.kind === 'integer' ? props.control : undefined);
  const choice = () => (props.control.kind === 'menu' ? props.control : undefined);
  const held = () => props.control.inactive ?? false;
  return (
    <li>
      <label
        class={`image-control image-control-${props.control.kind}`}
        classList={{ 'image-control-held': held() }}
        title={held() ? 'Another setting decides this at the moment' : undefined}
      >
        <span class="image-control-name">{props.control.label}</span>
        <Switch
          fallback={
            <input
              type="checkbox"
              role="switch"
              data-control={props.control.name}
              checked={props.control.value === true}
              disabled={held()}
              onChange={(event) => props.onSet(event.currentTarget.checked)}
            />
          }
        >
          <Match when={number()}>
            {(control) => (
              <>
                <output>{control().value}</output>
                <input
                  type="range"
                  data-control={control().name}
                  min={control().min}
                  max={control().max}
                  step={control().step}
                  value={control().value}
                  disabled={held()}
                  onInput={(event) => props.onSet(event.currentTarget.valueAsNumber)}
                />
              </>
            )}
          </Match>
          <Match when={choice()}>
            {(control) => (
              <select
                data-control={control().name}
                disabled={held()}
                onChange={(event) => props.onSet(Number(event.currentTarget.value))}
              >
                <For each={control().menu}>
                  {(entry) => (
                    <option value={entry.value} selected={entry.value === control().value}>
                      {entry.label}
                    </option>
                  )}
                </For>
              </select>
            )}
          </Match>
        </Switch>
      </label>
    </li>
  );
}
