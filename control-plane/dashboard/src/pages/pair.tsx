/** A camera that shows a pairing code: who it says it is, yes or no, and its way to the first picture. */

import { createResource, createSignal, Match, onMount, Show, Switch } from 'solid-js';
import { CodeForm } from '../adding/code-form';
import { Arrival } from '../adding/arrival';
import { Problem } from '../api/client';
import { confirmPairing, type Pairing, pairingOf, refusePairing } from '../api/pairings';
import { useHeron } from '../fleet/heron';
import { createAttempt } from '../parts/attempt';
import { PageLink } from '../parts/link';
import { now } from '../parts/ticking';
import { Trouble } from '../parts/trouble';
import { go } from '../router';
import { fingerprint } from '../text/fingerprint';
import { ago, duration } from '../text/format';

/** As much of the fingerprint as the camera's own page shows. */
const SHOWN = 16;

export function PairPage(props: { code: string }) {
  const heron = useHeron();
  onMount(() => (document.title = 'Add a camera · Heron'));
  return (
    <Show
      when={heron.me.role === 'admin'}
      fallback={
        <div class="nothing">
          <h1>Ask an administrator</h1>
          <p>Only an administrator can add a camera. The camera goes on showing its code.</p>
        </div>
      }
    >
      <Ask code={props.code} />
    </Show>
  );
}

function Ask(props: { code: string }) {
  const heron = useHeron();
  const [pairing, { refetch }] = createResource(() => props.code, pairingOf);
  const [camera, setCamera] = createSignal<{ id: string; name: string }>();
  const [refused, setRefused] = createSignal(false);
  const found = () => (pairing.error ? undefined : pairing.latest);
  const arrived = () => {
    const id = camera()?.id ?? found()?.camera ?? undefined;
    return id === undefined ? undefined : { id, name: camera()?.name ?? heron.camera(id)?.name ?? id };
  };
  return (
    <div class="pair">
      <Switch fallback={<p class="lead" role="status">{`Looking for the camera with the code ${props.code}…`}</p>}>
        <Match when={refused() || found()?.state === 'refused'}>
          <div class="nothing" data-testid="pairing-refused">
            <h1>Refused</h1>
            <p>The camera was told so, and gets nothing from here. It will show another code.</p>
            <PageLink class="secondary" href="/">
              All cameras
            </PageLink>
          </div>
        </Match>
        <Match when={arrived()}>{(camera) => <Arrival device={camera().id} name={camera().name} />}</Match>
        <Match when={pairing.error as Error | undefined}>
          {(error) => <NotFound code={props.code} error={error()} onAgain={() => void refetch()} />}
        </Match>
        <Match when={found()}>
          {(pairing) => (
            <Decide
              pairing={pairing()}
              onConfirmed={(id, name) => {
                setCamera({ id, name });
                void heron.reload();
              }}
              onRefused={() => setRefused(true)}
            />
          )}
        </Match>
      </Switch>
    </div>
  );
}

function Decide(props: { pairing: Pairing; onConfirmed: (camera: string, name: string) => void; onRefused: () => void }) {
  const attempt = createAttempt();
  let name!: HTMLInputElement;
  onMount(() => name.focus());
  const confirm = async () => {
    const called = name.value.trim();
    props.onConfirmed(await confirmPairing(props.pairing.code, called), called);
  };
  const refuse = async () => {
    await refusePairing(props.pairing.code);
    props.onRefused();
  };
  const left = () => props.pairing.expires_ms - now();
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Is this your camera?</h1>
          <p class="lead">Confirm it only if you see this code on a camera that you have just set up.</p>
        </div>
      </div>
      <section class="panel">
        <p class="code" data-testid="pairing-shown">
          {props.pairing.code}
        </p>
        <dl class="facts">
          <Fact name="Model" value={props.pairing.model ?? 'not said'} />
          <Fact name="Serial number" value={props.pairing.serial ?? 'not said'} />
          <Fact name="Asked from" value={`${props.pairing.address}, ${ago(props.pairing.asked_ms, now())}`} />
          <Fact name="Code valid" value={left() > 0 ? `${duration(left())} more` : 'no longer'} />
          <div class="fact-wide">
            <dt>Key fingerprint; the camera shows its beginning</dt>
            <dd>
              <code class="fingerprint">
                <strong>{fingerprint(props.pairing.key_fingerprint.slice(0, SHOWN))}</strong>{' '}
                {fingerprint(props.pairing.key_fingerprint.slice(SHOWN))}
              </code>
            </dd>
          </div>
        </dl>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void attempt.make(confirm);
          }}
        >
          <label class="field">
            <span>Name</span>
            <input ref={name} required maxlength="64" placeholder="Front door" autocomplete="off" data-testid="pairing-name" />
          </label>
          <Trouble text={attempt.trouble()} />
          <div class="dialog-actions">
            <button
              class="secondary danger"
              type="button"
              disabled={attempt.busy()}
              data-testid="pairing-refuse"
              onClick={() => void attempt.make(refuse)}
            >
              Refuse
            </button>
            <button class="primary" type="submit" disabled={attempt.busy()} data-testid="pairing-confirm">
              Confirm
            </button>
          </div>
        </form>
      </section>
    </>
  );
}

function Fact(props: { name: string; value: string }) {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.value}</dd>
    </div>
  );
}

function NotFound(props: { code: string; error: Error; onAgain: () => void }) {
  const unknown = () => props.error instanceof Problem && props.error.status === 404;
  return (
    <Show
      when={unknown()}
      fallback={
        <Trouble text={props.error.message} onAgain={() => props.onAgain()} />
      }
    >
      <div class="page-head">
        <div>
          <h1>No camera shows {props.code}</h1>
          <p class="lead">A code is good for 15 minutes, then the camera shows another. Which does it show now?</p>
        </div>
      </div>
      <section class="panel">
        <CodeForm onCode={(code) => (code === props.code ? props.onAgain() : go(`/pair/${code}`))} />
      </section>
    </Show>
  );
}
