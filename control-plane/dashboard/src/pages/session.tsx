/** One session: its path and those that were tried, and the phases of its start at both ends. */

import { createResource, For, type JSX, onCleanup, onMount, Show } from 'solid-js';
import { Problem } from '../api/client';
import { type PhaseTimes, type SeenPath, type TriedPair, videoSession, type VideoSessionDetail } from '../api/sessions';
import { BackIcon } from '../parts/icons';
import { PageLink } from '../parts/link';
import { now } from '../parts/ticking';
import { Trouble } from '../parts/trouble';
import { PathTag } from '../sessions/path-tag';
import { PhaseBar } from '../sessions/phase-bar';
import { bytes, clock, duration, milliseconds, sentence } from '../text/format';
import { candidateWords, relayWords } from '../text/paths';

const REFRESH_MS = 5000;

export function SessionPage(props: { session: string; onSignedOut: () => void }) {
  const [session, { refetch }] = createResource(
    () => props.session,
    async (id) => {
      try {
        return await videoSession(id);
      } catch (error) {
        if (error instanceof Problem && error.signedOut) props.onSignedOut();
        throw error;
      }
    },
  );
  const shown = () => (session.error ? undefined : session.latest);
  onMount(() => {
    document.title = 'Session · Heron';
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible' && shown()?.ended_ms === null) void refetch();
    }, REFRESH_MS);
    onCleanup(() => clearInterval(timer));
  });
  return (
    <div class="identity">
      <div class="live-head">
        <PageLink class="quiet" href="/sessions" aria-label="Back to all sessions">
          <BackIcon />
        </PageLink>
        <h1>{shown()?.camera_name ?? shown()?.camera ?? 'Session'}</h1>
      </div>
      <Trouble text={(session.error as Error | undefined)?.message} onAgain={() => void refetch()} />
      <Show when={shown()}>{(session) => <Detail session={session()} />}</Show>
    </div>
  );
}

function Detail(props: { session: VideoSessionDetail }) {
  const session = () => props.session;
  const ended = () => {
    const reason = session().end_reason;
    return reason === null ? 'It is being watched now.' : sentence(reason);
  };
  return (
    <>
      <section class="panel" data-testid="session-facts">
        <dl class="session-facts">
          <Fact name="Watched by">{session().person_name ?? session().person}</Fact>
          <Fact name="Began">{clock(session().opened_ms, now())}</Fact>
          <Fact name="Lasted">{duration((session().ended_ms ?? now()) - session().opened_ms)}</Fact>
          <Fact name="Path">
            <PathTag session={session()} />
          </Fact>
          <Fact name="Looked for anew">{session().restarts === 1 ? 'once' : `${session().restarts} times`}</Fact>
          <Fact name="Data">{bytes(session().bytes)}</Fact>
          <Show when={session().relayed_bytes !== null}>
            <Fact name="Through a relay">{bytes(session().relayed_bytes ?? 0)}</Fact>
          </Show>
          <Fact name="Start">
            <PhaseBar phases={session().phases} />
          </Fact>
        </dl>
        <p class="session-end">{ended()}</p>
      </section>
      <div class="session-ends">
        <End title="At the viewer" path={session().viewer_path} phases={session().viewer_phases} since="since the click" />
        <End title="At the camera" path={session().device_path} phases={session().device_phases} since="since it was asked" />
      </div>
      <section class="panel">
        <h2>Paths that were tried</h2>
        <Show when={session().pairs.length > 0} fallback={<p class="hint">The camera has not said which.</p>}>
          <Pairs pairs={session().pairs} />
        </Show>
      </section>
    </>
  );
}

function Fact(props: { name: string; children: JSX.Element }) {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

const PHASES: [keyof PhaseTimes, string][] = [
  ['opened_ms', 'Session open'],
  ['granted_ms', 'Grant checked'],
  ['answered_ms', 'Answered'],
  ['gathered_ms', 'Addresses gathered'],
  ['ice_ms', 'Path found'],
  ['dtls_ms', 'Encryption up'],
  ['first_packet_ms', 'First packet'],
  ['first_frame_ms', 'First picture'],
];

function End(props: { title: string; path: SeenPath | null; phases: PhaseTimes; since: string }) {
  const phases = () =>
    PHASES.flatMap(([key, name]) => {
      const ms = props.phases[key];
      return ms === null ? [] : [{ name, ms }];
    }).toSorted((a, b) => a.ms - b.ms);
  return (
    <section class="panel">
      <h2>{props.title}</h2>
      <Show when={props.path} fallback={<p class="hint">No path is known.</p>}>
        {(path) => (
          <dl class="session-facts">
            <Fact name="This end">
              {candidateWords(path().local)}
              <Address address={path().local_address} />
            </Fact>
            <Fact name="Other end">
              {candidateWords(path().remote)}
              <Address address={path().remote_address} />
            </Fact>
            <Fact name="Over">
              {path().protocol.toUpperCase()}
              <Show when={path().relay}>{(relay) => <>, through {relayWords(relay())}</>}</Show>
            </Fact>
          </dl>
        )}
      </Show>
      <Show when={phases().length > 0}>
        <ol class="phase-list">
          <For each={phases()}>
            {({ name, ms }) => (
              <li>
                <span>{name}</span>
                <span>{milliseconds(ms)}</span>
              </li>
            )}
          </For>
        </ol>
        <p class="hint">Milliseconds {props.since}.</p>
      </Show>
    </section>
  );
}

function Address(props: { address: string | null }) {
  return (
    <Show when={props.address}>
      <code class="address">{props.address}</code>
    </Show>
  );
}

const STATES = { waiting: 'not tried', in_progress: 'being tried', succeeded: 'works', failed: 'no answer' } as const;
const TONES = { waiting: '', in_progress: 'tag-waiting', succeeded: 'tag-good', failed: 'tag-bad' } as const;

function Pairs(props: { pairs: TriedPair[] }) {
  return (
    <table class="sessions figures-table" data-testid="session-pairs">
      <thead>
        <tr>
          <th scope="col">Camera</th>
          <th scope="col">Viewer</th>
          <th scope="col">Over</th>
          <th scope="col">Result</th>
        </tr>
      </thead>
      <tbody>
        <For each={props.pairs}>
          {(pair) => (
            <tr>
              <td data-label="Camera">
                {candidateWords(pair.local)}
                <Address address={pair.local_address} />
              </td>
              <td data-label="Viewer">
                {candidateWords(pair.remote)}
                <Address address={pair.remote_address} />
              </td>
              <td data-label="Over">{pair.protocol.toUpperCase()}</td>
              <td data-label="Result">
                <Show when={pair.chosen} fallback={<span class={`tag ${TONES[pair.state] ?? ''}`}>{STATES[pair.state] ?? pair.state}</span>}>
                  <span class="tag tag-good">taken</span>
                </Show>
              </td>
            </tr>
          )}
        </For>
      </tbody>
    </table>
  );
}
