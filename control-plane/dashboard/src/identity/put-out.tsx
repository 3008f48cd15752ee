/** The dialog before a camera is put out: asks why, and for a revocation the camera's name, since there is no way back. */

import { createSignal, onMount, Show } from 'solid-js';
import { quarantine, revoke } from '../api/identity';
import { createAttempt } from '../parts/attempt';
import { CloseIcon } from '../parts/icons';
import { Trouble } from '../parts/trouble';

export type Way = 'quarantine' | 'revoke';

const WORDS = {
  quarantine: {
    title: 'Quarantine',
    what: 'It is disconnected, and everybody who watches it loses the picture, until somebody releases it.',
    reason: 'behaves strangely',
    act: quarantine,
  },
  revoke: {
    title: 'Revoke',
    what: 'It is disconnected, and its certificates are refused for ever. The way back is to remove it and to add it anew.',
    reason: 'stolen',
    act: revoke,
  },
};

export function PutOutDialog(props: { way: Way; device: string; name: string; onClose: () => void; onDone: () => void }) {
  const [typed, setTyped] = createSignal('');
  const attempt = createAttempt();
  const words = () => WORDS[props.way];
  const sure = () => props.way === 'quarantine' || typed().trim() === props.name;
  let dialog!: HTMLDialogElement;
  let reason!: HTMLInputElement;
  onMount(() => dialog.showModal());

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (!sure()) return;
    const done = await attempt.make(() => words().act(props.device, reason.value.trim()));
    if (!done) return;
    props.onDone();
    dialog.close();
  };

  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="put-out-title" onClose={() => props.onClose()}>
      <div class="dialog-head">
        <h2 id="put-out-title">
          {words().title} {props.name}?
        </h2>
        <button class="quiet" type="button" aria-label="Close" onClick={() => dialog.close()}>
          <CloseIcon />
        </button>
      </div>
      <form onSubmit={(event) => void submit(event)}>
        <p>{words().what}</p>
        <label class="field">
          <span>Why</span>
          <input ref={reason} required maxlength="200" placeholder={words().reason} autocomplete="off" data-testid="put-out-reason" />
        </label>
        <Show when={props.way === 'revoke'}>
          <label class="field">
            <span>
              Type <strong>{props.name}</strong> to be sure
            </span>
            <input
              required
              autocomplete="off"
              spellcheck={false}
              data-testid="put-out-name"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
        </Show>
        <Trouble text={attempt.trouble()} />
        <div class="dialog-actions">
          <button class="secondary" type="button" onClick={() => dialog.close()}>
            Cancel
          </button>
          <button class="primary primary-danger" type="submit" disabled={attempt.busy() || !sure()} data-testid="put-out-submit">
            {words().title}
          </button>
        </div>
      </form>
    </dialog>
  );
}
