/** The dialog in which an administrator adds a camera: by the code it shows, by a claim file, or by a finished bundle. */

import { createSignal, For, Match, onMount, Switch } from 'solid-js';
import { CloseIcon } from '../parts/icons';
import { go } from '../router';
import { Bundle } from './bundle';
import { ClaimFile } from './claim-file';
import { CodeForm } from './code-form';

const WAYS = [
  { id: 'code', label: 'Code' },
  { id: 'claim', label: 'Claim file' },
  { id: 'bundle', label: 'Bundle' },
] as const;

export function AddCameraDialog(props: { onClose: () => void; onAdded: () => void }) {
  const [way, setWay] = createSignal<(typeof WAYS)[number]['id']>('code');
  let dialog!: HTMLDialogElement;
  onMount(() => dialog.showModal());
  const done = () => dialog.close();
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="add-camera-title" onClose={() => props.onClose()}>
      <div class="dialog-head">
        <h2 id="add-camera-title">Add a camera</h2>
        <button class="quiet" type="button" aria-label="Close" onClick={done}>
          <CloseIcon />
        </button>
      </div>
      <div class="ways" role="group" aria-label="How to add it">
        <For each={WAYS}>
          {({ id, label }) => (
            <button type="button" aria-pressed={way() === id} data-testid={`add-by-${id}`} onClick={() => setWay(id)}>
              {label}
            </button>
          )}
        </For>
      </div>
      <Switch>
        <Match when={way() === 'code'}>
          <p class="hint">
            A camera that belongs to nobody shows a code: in its log, on its screen and on its local page, there with a QR code that
            leads here.
          </p>
          <CodeForm
            onCode={(code) => {
              done();
              go(`/pair/${code}`);
            }}
          />
        </Match>
        <Match when={way() === 'claim'}>
          <ClaimFile onDone={done} />
        </Match>
        <Match when={way() === 'bundle'}>
          <Bundle onAdded={props.onAdded} onDone={done} />
        </Match>
      </Switch>
    </dialog>
  );
}
