/** How the fleet's sessions found their way: shares of each kind of path, how fast, and what failed. */

import { createResource, createSignal, For, onMount, Show } from 'solid-js';
import { Problem } from '../api/client';
import { pathOverview, type PathOverview } from '../api/paths';
import { useHeron } from '../fleet/heron';
import { Trouble } from '../parts/trouble';
import { SessionsHead } from '../sessions/head';
import { bytes, milliseconds, percent } from '../text/format';
import { kindWords, relayWords } from '../text/paths';
import { storedEnd } from '../text/reasons';

const DAY_MS = 86_400_000;
const SPANS = [
  { days: 1, name: 'Last 24 hours' },
  { days: 7, name: 'Last 7 days' },
  { days: 30, name: 'Last 30 days' },
] as const;

export function PathsPage(props: { onSignedOut: () => void }) {
  const heron = useHeron();
  const [days, setDays] = createSignal(7);
  const [camera, setCamera] = createSignal('');
  const [overview, { refetch }] = createResource(
    () => ({ days: days(), camera: camera() }),
    async ({ days, camera }) => {
      try {
        return await pathOverview(Date.now() - days * DAY_MS, camera);
      } catch (error) {
        if (error instanceof Problem && error.signedOut) props.onSignedOut();
        throw error;
      }
    },
  );
  onMount(() => (document.title = 'Paths · Heron'));
  const shown = () => (overview.error ? undefined : overview.latest);
  return (
    <>
      <SessionsHead title="Paths" lead="How pictures come from the cameras: directly or through a relay, how fast, and what failed." />
      <div class="filters">
        <label class="field">
          <span>Sessions of</span>
          <select data-testid="paths-span" onChange={(event) => setDays(Number(event.currentTarget.value))}>
            <For each={SPANS}>{(span) => <option value={span.days} selected={span.days === days()}>{span.name}</option>}</For>
          </select>
        </label>
        <label class="field">
          <span>Camera</span>
          <select data-testid="paths-camera" onChange={(event) => setCamera(event.currentTarget.value)}>
            <option value="">All cameras</option>
            <For each={heron.cameras}>{({ id, name }) => <option value={id}>{name}</option>}</For>
          </select>
        </label>
      </div>
      <Trouble text={(overview.error as Error | undefined)?.message} onAgain={() => void refetch()} />
      <Show when={shown()}>
        {(shown) => (
          <Show when={shown().sessions > 0} fallback={<p class="nothing">Nobody has watched a camera in this time.</p>}>
            <Overview overview={shown()} />
          </Show>
        )}
      </Show>
    </>
  );
}

function Overview(props: { overview: PathOverview }) {
  const all = () => props.overview;
  const known = () => all().kinds.reduce((sum, { sessions }) => sum + sessions, 0);
  const lead = () => {
    const share = all().relayed_share;
    const sessions = all().sessions === 1 ? '1 session' : `${all().sessions} sessions`;
    return share === null ? `${sessions}, no path is known yet.` : `${sessions}, ${percent(share)} of them through a relay.`;
  };
  const failures = () =>
    all().failures.map(({ reason, sessions: count, before_picture: before }) => ({
      ...{ name: capital(storedEnd(reason)), count, more: before > 0 ? `${before} before a picture` : '' },
    }));
  const relays = () =>
    all().relays.map(({ url, sessions: count }) => ({
      ...{ name: relayWords(url).replace(/^the relay /, ''), count, more: '' },
    }));
  return (
    <div class="identity paths" data-testid="paths">
      <section class="panel">
        <h2>{lead()}</h2>
        <ShareBar overview={all()} />
        <Show when={known() > 0}>
          <table class="sessions figures-table">
            <thead>
              <tr>
                <th scope="col">Path</th>
                <th scope="col">Sessions</th>
                <th scope="col">Share</th>
                <th scope="col" title="From the click to the first picture: half were faster">First picture</th>
                <th scope="col" title="95 of 100 were faster">95 of 100</th>
                <th scope="col" title="99 of 100 were faster">99 of 100</th>
              </tr>
            </thead>
            <tbody>
              <For each={all().kinds}>
                {({ kind, sessions, first_frame_ms: times }) => (
                  <tr data-testid={`paths-${kind}`}>
                    <td data-label="Path">
                      <span class={`path-key path-${kind}`} /> {kindWords(kind, null)}
                    </td>
                    <td data-label="Sessions">{sessions}</td>
                    <td data-label="Share">{percent(sessions / known())}</td>
                    <td data-label="First picture">{times ? milliseconds(times.p50) : '–'}</td>
                    <td data-label="95 of 100">{times ? milliseconds(times.p95) : '–'}</td>
                    <td data-label="99 of 100">{times ? milliseconds(times.p99) : '–'}</td>
                  </tr>
                )}
              </For>
            </tbody>
          </table>
        </Show>
        <p class="hint">
          A picture came in {all().shown} of {all().sessions}. Another path was looked for {all().restarts} times meanwhile.{' '}
          {all().relayed_bytes > 0 ? `Relays carried ${bytes(all().relayed_bytes)}.` : ''}
        </p>
      </section>
      <div class="session-ends">
        <section class="panel" data-testid="failures">
          <h2>What went wrong</h2>
          <Show when={all().failures.length > 0} fallback={<p class="hint">Nothing: viewers ended all of them.</p>}>
            <Counts counts={failures()} />
          </Show>
        </section>
        <section class="panel">
          <h2>Relays</h2>
          <Show when={all().relays.length > 0} fallback={<p class="hint">None was needed.</p>}>
            <Counts counts={relays()} />
          </Show>
        </section>
      </div>
    </div>
  );
}

const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);

/** Each kind as wide as its share. */
function ShareBar(props: { overview: PathOverview }) {
  const parts = () => {
    const all = props.overview.kinds.reduce((sum, { sessions }) => sum + sessions, 0);
    let from = 0;
    return props.overview.kinds.map(({ kind, sessions }) => {
      const part = { kind, from, width: (100 * sessions) / all };
      from += part.width;
      return part;
    });
  };
  const words = () => parts().map(({ kind, width }) => `${kindWords(kind, null)} ${percent(width / 100)}`);
  return (
    <Show when={parts().length > 0}>
      <svg class="share-bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={words().join(', ')}>
        <For each={parts()}>{({ kind, from, width }) => <rect class={`path-${kind}`} x={from} width={width} height="4" />}</For>
      </svg>
    </Show>
  );
}

/** Names with how often, as bars on the commonest. */
function Counts(props: { counts: { name: string; count: number; more: string }[] }) {
  const most = () => Math.max(1, ...props.counts.map(({ count }) => count));
  return (
    <ul class="counts">
      <For each={props.counts}>
        {({ name, count, more }) => (
          <li>
            <span>
              {name} <span class="hint">{more}</span>
            </span>
            <strong>{count}</strong>
            <meter min="0" max={most()} value={count} aria-hidden="true" />
          </li>
        )}
      </For>
    </ul>
  );
}
