/** Who watched what: recent sessions, how each got through and how long its start took. */

import { createResource, For, onCleanup, onMount, Show } from 'solid-js';
import { Problem } from '../api/client';
import { recentSessions, type SessionPhases, type VideoSession } from '../api/sessions';
import { PageLink } from '../parts/link';
import { now } from '../parts/ticking';
import { Trouble } from '../parts/trouble';
import { bytes, clock, duration } from '../text/format';
import { storedEnd } from '../text/reasons';

const REFRESH_MS = 15_000;

export function SessionsPage(props: { onSignedOut: () => void }) {
  const [sessions, { refetch }] = createResource(async () => {
    try {
      return await recentSessions();
    } catch (error) {
      if (error instanceof Problem && error.signedOut) props.onSignedOut();
      throw error;
    }
  });
  onMount(() => {
    document.title = 'Sessions · Heron';
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void refetch();
    }, REFRESH_MS);
    onCleanup(() => clearInterval(timer));
  });
  const list = () => (sessions.error ? undefined : sessions.latest);
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Sessions</h1>
          <p class="lead">Who watched which camera, over which path, and how long the picture took to start.</p>
        </div>
      </div>
      <Trouble text={(sessions.error as Error | undefined)?.message} onAgain={() => void refetch()} />
      <Show when={list()}>
        {(list) => (
          <Show when={list().length > 0} fallback={<p class="nothing">Nobody has watched a camera yet.</p>}>
            <table class="sessions" data-testid="sessions">
              <thead>
                <tr>
                  <th scope="col">When</th>
                  <th scope="col">Camera</th>
                  <th scope="col">Viewer</th>
                  <th scope="col">Path</th>
                  <th scope="col">Start</th>
                  <th scope="col">Length</th>
                  <th scope="col">Data</th>
                  <th scope="col">Ended</th>
                </tr>
              </thead>
              <tbody>
                <For each={list()}>{(session) => <Row session={session} />}</For>
              </tbody>
            </table>
          </Show>
        )}
      </Show>
    </>
  );
}

function Row(props: { session: VideoSession }) {
  const running = () => props.session.ended_ms === null;
  const length = () => (props.session.ended_ms ?? now()) - props.session.opened_ms;
  return (
    <tr data-testid={`session-${props.session.id}`}>
      <td data-label="When">{clock(props.session.opened_ms, now())}</td>
      <td data-label="Camera">
        <PageLink href={`/cameras/${props.session.camera}`}>{props.session.camera_name ?? props.session.camera}</PageLink>
      </td>
      <td data-label="Viewer">{props.session.person_name ?? props.session.person}</td>
      <td data-label="Path">
        <Show when={props.session.path} fallback="–">
          {(path) => <span class={`tag tag-${path()}`}>{path() === 'relayed' ? 'Relayed' : 'Direct'}</span>}
        </Show>
      </td>
      <td data-label="Start">
        <PhaseBar phases={props.session.phases} />
      </td>
      <td data-label="Length">{duration(length())}</td>
      <td data-label="Data">{bytes(props.session.bytes)}</td>
      <td data-label="Ended">
        <Show when={!running()} fallback={<span class="tag tag-running">Watching now</span>}>
          {props.session.end_reason ? storedEnd(props.session.end_reason) : '–'}
        </Show>
      </td>
    </tr>
  );
}

const PHASE_NAMES = [
  ['signal_ms', 'signalling'],
  ['ice_ms', 'path'],
  ['dtls_ms', 'encryption'],
  ['first_packet_ms', 'first packet'],
  ['first_frame_ms', 'first picture'],
] as const;

/** The phases as a bar, each as long as it took; a second fills it. */
function PhaseBar(props: { phases: SessionPhases }) {
  const known = () => {
    let before = 0;
    return PHASE_NAMES.flatMap(([key, name]) => {
      const end = props.phases[key];
      if (end === null || end < before) return [];
      const part = { name, from: before, took: end - before };
      before = end;
      return [part];
    });
  };
  const total = () => known().reduce((sum, { took }) => sum + took, 0);
  const words = () => known().map(({ name, took }) => `${name} ${Math.round(took)} ms`);
  const scale = () => 100 / Math.max(1000, total());
  return (
    <Show when={known().length > 0} fallback="–">
      <span class="phases" title={words().join(', ')}>
        <svg class="phase-bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={words().join(', ')}>
          <rect class="phase-ground" width="100" height="6" />
          <For each={known()}>
            {({ from, took }, index) => (
              <rect class={`phase-${index()}`} x={from * scale()} width={Math.max(0.5, took * scale())} height="6" />
            )}
          </For>
        </svg>
        {Math.round(total())} ms
      </span>
    </Show>
  );
}
