/** A file for the boot partition with which cameras enrol by themselves; and those that were made before. */

import { createResource, createSignal, For, Show } from 'solid-js';
import { listClaims, type MadeClaim, makeClaim, withdrawClaim } from '../api/claims';
import { createAttempt } from '../parts/attempt';
import { DownloadIcon } from '../parts/icons';
import { now } from '../parts/ticking';
import { Trouble } from '../parts/trouble';
import { clock } from '../text/format';
import { download } from './download';

/** The name that the camera looks for. */
const FILE = 'heron-claim.toml';

const LIVES = [
  { s: 3600, label: '1 hour' },
  { s: 24 * 3600, label: '1 day' },
  { s: 7 * 24 * 3600, label: '1 week' },
  { s: 30 * 24 * 3600, label: '30 days' },
];

export function ClaimFile(props: { onDone: () => void }) {
  const [made, setMade] = createSignal<MadeClaim>();
  const attempt = createAttempt();
  let name!: HTMLInputElement;
  let uses!: HTMLInputElement;
  let life!: HTMLSelectElement;

  const make = async () => {
    const called = name.value.trim();
    const claim = await makeClaim({
      ...(called === '' ? {} : { name: called }),
      max_uses: uses.valueAsNumber,
      ttl_s: Number(life.value),
    });
    setMade(claim);
    download(FILE, claim.file);
  };

  return (
    <Show
      when={made()}
      fallback={
        <>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              void attempt.make(make);
            }}
          >
            <p class="hint">A camera that finds this file on its boot partition enrols by itself. For one camera, or for many.</p>
            <label class="field">
              <span>
                Name <small>optional; several cameras are numbered</small>
              </span>
              <input ref={name} maxlength="64" placeholder="Front door" autocomplete="off" data-testid="claim-name" />
            </label>
            <div class="field-pair">
              <label class="field">
                <span>Cameras</span>
                <input ref={uses} type="number" required min="1" max="1000" step="1" value="1" data-testid="claim-uses" />
              </label>
              <label class="field">
                <span>Valid for</span>
                <select ref={life} data-testid="claim-life">
                  <For each={LIVES}>
                    {({ s, label }) => (
                      <option value={s} selected={s === 24 * 3600}>
                        {label}
                      </option>
                    )}
                  </For>
                </select>
              </label>
            </div>
            <Trouble text={attempt.trouble()} />
            <div class="dialog-actions">
              <button class="primary" type="submit" disabled={attempt.busy()} data-testid="claim-submit">
                {attempt.busy() ? 'Making…' : 'Make and download'}
              </button>
            </div>
          </form>
          <OpenClaims />
        </>
      }
    >
      {(claim) => (
        <>
          <p>
            Your browser saved <code>{FILE}</code>. It is a secret: whoever has it can add {count(claim().max_uses)} here until{' '}
            {clock(claim().expires_ms, now())}.
          </p>
          <ol class="how">
            <li>
              Put the SD card into this computer. Its boot partition appears as a drive, often called <code>bootfs</code>.
            </li>
            <li>
              Copy <code>{FILE}</code> onto it, next to the files that are there.
            </li>
            <li>Put the card back and switch the camera on. It appears here within a minute, and deletes the file.</li>
          </ol>
          <div class="dialog-actions">
            <button class="secondary" type="button" onClick={() => download(FILE, claim().file)}>
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

/** What can still be used, so that a lost file can be made worthless. */
function OpenClaims() {
  const [claims, { refetch }] = createResource(listClaims);
  const open = () =>
    claims.error ? [] : (claims.latest ?? []).filter((claim) => claim.uses < claim.max_uses && claim.expires_ms > now());
  const withdraw = async (id: string) => {
    await withdrawClaim(id).catch(() => undefined);
    await refetch();
  };
  return (
    <Show when={open().length > 0}>
      <div class="claims">
        <h3>Files that can still be used</h3>
        <ul>
          <For each={open()}>
            {(claim) => (
              <li>
                <span>
                  {claim.name ?? 'Without a name'}
                  <small>
                    {claim.uses} of {claim.max_uses} used, until {clock(claim.expires_ms, now())}
                  </small>
                </span>
                <button class="inline" type="button" onClick={() => void withdraw(claim.id)}>
                  Withdraw
                </button>
              </li>
            )}
          </For>
        </ul>
      </div>
    </Show>
  );
}

const count = (cameras: number): string => (cameras === 1 ? 'one camera' : `${cameras} cameras`);
