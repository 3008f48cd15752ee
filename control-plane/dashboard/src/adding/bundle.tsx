/** For experts: a camera's finished identity in one file, to be put on the device by hand. */

import { createSignal, Show } from 'solid-js';
import { type AddedCamera, addCamera } from '../api/cameras';
import { createAttempt } from '../parts/attempt';
import { DownloadIcon } from '../parts/icons';
import { Trouble } from '../parts/trouble';
import { download } from './download';

export function Bundle(props: { onAdded: () => void; onDone: () => void }) {
  const [added, setAdded] = createSignal<AddedCamera>();
  const attempt = createAttempt();
  let name!: HTMLInputElement;

  const add = async () => {
    const camera = await addCamera(name.value.trim());
    setAdded(camera);
    save(camera);
    props.onAdded();
  };

  return (
    <Show
      when={added()}
      fallback={
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void attempt.make(add);
          }}
        >
          <p class="hint">
            You get a file with the camera's own certificate and key, made here. It is shown once and not kept. The other two ways
            leave the key on the camera.
          </p>
          <label class="field">
            <span>Name</span>
            <input ref={name} required maxlength="64" placeholder="Front door" autocomplete="off" data-testid="add-camera-name" />
          </label>
          <Trouble text={attempt.trouble()} />
          <div class="dialog-actions">
            <button class="primary" type="submit" disabled={attempt.busy()} data-testid="add-camera-submit">
              {attempt.busy() ? 'Adding…' : 'Add and download'}
            </button>
          </div>
        </form>
      }
    >
      {(camera) => (
        <>
          <p>
            {camera().name} is added, and your browser saved <code>{fileName(camera())}</code>. Copy it to the device, where only the
            camera's user may read it, and name it in the camera's configuration:
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
            <button class="primary" type="button" onClick={() => props.onDone()}>
              Done
            </button>
          </div>
        </>
      )}
    </Show>
  );
}

const fileName = (camera: AddedCamera): string => `${camera.id}.bundle.toml`;

const save = (camera: AddedCamera): void => download(fileName(camera), camera.bundle);
