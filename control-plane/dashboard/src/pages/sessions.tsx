/** Who watched what: recent sessions, how each got through and how long its start took. */

import { createResource, For, onCleanup, onMount, Show } from 'solid-js';
import { Problem } from '../api/client';
import { recentSessions, type VideoSession } from '../api/sessions';
import { PageLink } from '../parts/link';
import { now } from '../parts/ticking';
import { Trouble } from '../parts/trouble';
import { SessionsHead } from '../sessions/head';
import { PathTag } from '../sessions/path-tag';
import { PhaseBar } from '../sessions/phase-bar';
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
      <SessionsHead
        title="Sessions"
        lead="Who watched which camera, over which path, and how long the picture took to start."
      />
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
      <td data-label="When">
        <PageLink href={`/sessions/${props.session.id}`} testId="session-link">
          {clock(props.session.opened_ms, now())}
        </PageLink>
      </td>
      <td data-label="Camera">
        <PageLink href={`/cameras/${props.session.camera}`}>{props.session.camera_name ?? props.session.camera}</PageLink>
      </td>
      <td data-label="Viewer">{props.session.person_name ?? props.session.person}</td>
      <td data-label="Path">
        <PathTag session={props.session} />
        <Show when={props.session.restarts > 0}>
          <span class="restarts" title="How often another path was looked for meanwhile">
            {props.session.restarts === 1 ? '1 change' : `${props.session.restarts} changes`}
          </span>
        </Show>
      </td>
      <td data-label="Start">
        <PhaseBar phases={props.session.phases} />
      </td>
      <td data-label="Length">{duration(length())}</td>
      <td data-label="Data">{bytes(props.session.bytes)}</td>
      <td data-label="Ended">
        <Show when={!running()} fallback={<span class="tag tag-running">Watching now</span>}>
          {endWords(props.session)}
        </Show>
      </td>
    </tr>
  );
}

const endWords = ({ end, end_reason: words }: VideoSession): string => (end ? storedEnd(end) : words ?? '–');
