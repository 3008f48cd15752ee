/** The dialog in which an administrator adds a camera and takes its bundle file away. */

import { createSignal, onMount, Show } from 'solid-js';
import { type AddedCamera, addCamera } from '../api/cameras';
import { CloseIcon, DownloadIcon } from './icons';

export function AddCameraDialog(props: { onClose: () => void; onAdded: () => void }) {
  const [added, setAdded] = createSignal<AddedCamera>();
  const [trouble, setTrouble] = createSignal<string>();
  const [busy, setBusy] = createSignal(false);
  let dialog!: HTMLDialogElement;
  let name!: HTMLInputElement;
  onMount(() => dialog.showModal());

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setTrouble(undefined);
    try {
      const camera = await addCamera(name.value.trim());
      setAdded(camera);
      save(camera);
      props.onAdded();
    } catch (error) {
      setTrouble((error as Error).message);
    } finally {
      setBusy(false);
    }
  };

  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="add-camera-title" onClose={() => props.onClose()}>
      <div class="dialog-head">
        <h2 id="add-camera-title">{added() ? `${added()?.name} is added` : 'Add a camera'}</h2>
        <button class="quiet" type="button" aria-label="Close" onClick={() => dialog.close()}>
          <CloseIcon />
        </button>
      </div>
      <Show
        when={added()}
        fallback={
          <form onSubmit={(event) => void submit(event)}>
            <label class="field">
              <span>Name</span>
              <input ref={name} required maxlength="64" placeholder="Front door" autocomplete="off" data-testid="add-camera-name" />
            </label>
            <p class="hint">You get a bundle file with the camera's own certificate and key. It is shown once and not kept.</p>
            <div role="alert">
              <Show when={trouble()}>{(text) => <p class="trouble">{text()}</p>}</Show>
            </div>
            <div class="dialog-actions">
              <button class="secondary" type="button" onClick={() => dialog.close()}>
                Cancel
              </button>
              <button class="primary" type="submit" disabled={busy()} data-testid="add-camera-submit">
                {busy() ? 'Adding…' : 'Add and download'}
              </button>
            </div>
          </form>
        }
      >
        {(camera) => (
          <>
            <p>
              Your browser saved <code>{fileName(camera())}</code>. Copy it to the device, where only the camera's user may read it,
              and name it in the camera's configuration:
            </p>
            <pre>
              <code>bundle = "/etc/heron/bundle.toml"</code>
            </pre>
            <p class="hint">The card turns online as soon as the camera has connected.</p>
            <div class="dialog-actions">
              <button class="secondary" type="button" onClick={() => save(camera())}>
                <DownloadIcon />
                Save again
              </button>
              <button class="primary" type="button" onClick={() => dialog.close()}>
                Done
              </button>
            </div>
          </>
        )}
      </Show>
    </dialog>
  );
}

const fileName = (camera: AddedCamera): string => `${camera.id}.bundle.toml`;

function save(camera: AddedCamera): void {
  const address = URL.createObjectURL(new Blob([camera.bundle], { type: 'application/toml' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = fileName(camera);
  link.click();
  // The browser has taken it by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
