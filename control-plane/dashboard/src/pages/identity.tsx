/** The identity of a camera: how it stands with it, its certificates, when it came and went; and putting it out. */

import { createEffect, createResource, createSignal, on, onCleanup, onMount, Show } from 'solid-js';
import { removeCamera } from '../api/cameras';
import { connectionsOf, type Identity, identityOf, release } from '../api/identity';
import { useHeron } from '../fleet/heron';
import { Certificates } from '../identity/certificates';
import { Connections } from '../identity/connections';
import { PutOutDialog, type Way } from '../identity/put-out';
import { identityWords, renewal } from '../identity/words';
import { createAttempt } from '../parts/attempt';
import { BackIcon } from '../parts/icons';
import { PageLink } from '../parts/link';
import { PresencePill } from '../parts/presence';
import { now } from '../parts/ticking';
import { Trouble } from '../parts/trouble';
import { go } from '../router';
import { ago } from '../text/format';

const REFRESH_MS = 5000;

export function IdentityPage(props: { device: string }) {
  const heron = useHeron();
  const camera = () => heron.camera(props.device);
  const name = () => camera()?.name ?? props.device;
  const load = (device: string) =>
    Promise.all([identityOf(device), connectionsOf(device)]).then(([identity, connections]) => ({ identity, connections }));
  const [all, { refetch }] = createResource(() => props.device, load);
  const shown = () => (all.error ? undefined : all.latest);
  onMount(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void refetch();
    }, REFRESH_MS);
    onCleanup(() => clearInterval(timer));
  });
  createEffect(() => (document.title = `${name()}, identity · Heron`));
  // What came over MQTT is in the history by now.
  createEffect(on(() => camera()?.since_ms, () => void refetch(), { defer: true }));
  const changed = async () => {
    await Promise.all([refetch(), heron.reload()]);
  };
  return (
    <div class="identity">
      <div class="live-head">
        <PageLink class="quiet" href={`/cameras/${props.device}`} aria-label="Back to the picture">
          <BackIcon />
        </PageLink>
        <h1>{name()}</h1>
        <Show when={camera()}>{(camera) => <PresencePill online={camera().online} standing={camera().standing} />}</Show>
      </div>
      <Trouble text={(all.error as Error | undefined)?.message} onAgain={() => void refetch()} />
      <Show when={shown()}>
        {(shown) => (
          <div class="identity-panels">
            <div>
              <StandingPanel
                device={props.device}
                name={name()}
                identity={shown().identity}
                admin={heron.me.role === 'admin'}
                onChanged={() => void changed()}
              />
              <section class="panel">
                <h2>Certificates</h2>
                <Show when={renewal(shown().identity, now())}>{(text) => <p>{text()}</p>}</Show>
                <Certificates certificates={shown().identity.certificates} />
              </section>
            </div>
            <section class="panel">
              <h2>Connections</h2>
              <Connections connections={shown().connections} />
            </section>
          </div>
        )}
      </Show>
    </div>
  );
}

function StandingPanel(props: { device: string; name: string; identity: Identity; admin: boolean; onChanged: () => void }) {
  const heron = useHeron();
  const [asking, setAsking] = createSignal<Way>();
  const attempt = createAttempt();
  const words = () => identityWords(props.identity);
  const state = () => props.identity.state;
  const letIn = () => attempt.make(() => release(props.device).then(props.onChanged));
  const remove = () =>
    attempt.make(async () => {
      await removeCamera(props.device);
      await heron.reload();
      go('/');
    });
  return (
    <section class={`panel standing standing-${words().tone}`}>
      <p class="standing-state" data-testid="identity-state" data-state={state()}>
        {words().text}
      </p>
      <p>{words().detail}</p>
      <Show when={words().reason}>
        {(reason) => (
          <p class="standing-reason" data-testid="identity-reason">
            <strong>Why:</strong> {reason()}
            <Show when={props.identity.since_ms}>{(since) => <span class="hint"> {ago(since(), now())}</span>}</Show>
          </p>
        )}
      </Show>
      <Trouble text={attempt.trouble()} />
      <Show when={props.admin}>
        <div class="standing-actions">
          <Show when={state() === 'quarantined'}>
            <button class="primary" type="button" data-testid="release" onClick={() => void letIn()}>
              Release
            </button>
          </Show>
          <Show when={state() === 'active' || state() === 'pending'}>
            <button class="secondary" type="button" data-testid="quarantine" onClick={() => setAsking('quarantine')}>
              Quarantine…
            </button>
          </Show>
          <Show when={state() !== 'revoked'}>
            <button class="secondary danger" type="button" data-testid="revoke" onClick={() => setAsking('revoke')}>
              Revoke…
            </button>
          </Show>
          <Show when={state() === 'revoked'}>
            <button class="secondary danger" type="button" data-testid="remove" onClick={() => void remove()}>
              Remove from the list
            </button>
          </Show>
        </div>
      </Show>
      <Show when={asking()} keyed>
        {(way) => (
          <PutOutDialog
            way={way}
            device={props.device}
            name={props.name}
            onClose={() => setAsking(undefined)}
            onDone={props.onChanged}
          />
        )}
      </Show>
    </section>
  );
}
