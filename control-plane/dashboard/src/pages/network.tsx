/** Tests this browser's own network: what of the way to a camera works, and what to do where it does not. */

import { createSignal, onMount, Show } from 'solid-js';
import { beginSelfTest } from '../api/self-test';
import { useHeron } from '../fleet/heron';
import { CheckList } from '../network/check-list';
import { worst } from '../network/checks';
import { probe } from '../network/probes';
import { type Verdict, verdict } from '../network/verdict';
import { createAttempt } from '../parts/attempt';
import { Trouble } from '../parts/trouble';
import { SessionsHead } from '../sessions/head';

export function NetworkPage() {
  const heron = useHeron();
  const [found, setFound] = createSignal<Verdict>();
  const attempt = createAttempt();
  const test = () =>
    attempt.make(async () => {
      setFound(undefined);
      const begin = performance.now();
      const { ice_servers: servers } = await beginSelfTest();
      const httpsMs = performance.now() - begin;
      const probes = await probe(servers);
      setFound(verdict({ httpsMs, linked: heron.linkState() === 'online', probes }));
    });
  onMount(() => (document.title = 'My network · Heron'));
  return (
    <>
      <SessionsHead
        title="My network"
        lead="Tests the way from this browser to the control plane and its relays, the way a picture would take."
      />
      <div class="network">
        <button class="primary" type="button" data-testid="test-network" disabled={attempt.busy()} onClick={() => void test()}>
          {attempt.busy() ? 'Testing…' : found() ? 'Test again' : 'Test my network'}
        </button>
        <Trouble text={attempt.trouble()} />
        <Show when={attempt.busy()}>
          <p class="hint" role="status">
            Asking every server in every way; what does not answer takes some seconds.
          </p>
        </Show>
        <Show when={found()}>
          {(found) => (
            <section class={`panel verdict verdict-${worst(found().checks)}`} data-testid="verdict">
              <h2 role="status">{found().headline}</h2>
              <CheckList checks={found().checks} />
            </section>
          )}
        </Show>
      </div>
    </>
  );
}
