/** Below the picture: which way it comes, and what the camera's own test of its network found. */

import { createSignal, Show } from 'solid-js';
import { CheckList } from '../network/check-list';
import { type CameraTest, readCameraTest, worst } from '../network/checks';
import { createAttempt } from '../parts/attempt';
import { PageLink } from '../parts/link';
import { now } from '../parts/ticking';
import { Trouble } from '../parts/trouble';
import type { Call } from '../rtc/call';
import type { Path } from '../signalling/messages';
import { ago } from '../text/format';
import { pathSentence } from '../text/paths';

/** A test asks servers that may not answer. */
const TEST_PATIENCE_MS = 60_000;

const SUMMARIES = {
  ok: 'The camera finds nothing wrong with its network.',
  warning: 'The camera finds something about its network that could be better.',
  failed: 'The camera finds something wrong with its network.',
  skipped: 'The camera has tested nothing of its network.',
} as const;

export interface NetworkPanelProps {
  /** The path of the picture, once there is one. */
  path: Path | null;
  /** What the camera reports of its network. */
  reported: unknown;
  /** The call by which the camera can be asked for a test; undefined while it cannot. */
  call: Call | undefined;
}

export function NetworkPanel(props: NetworkPanelProps) {
  const [answered, setAnswered] = createSignal<CameraTest>();
  const attempt = createAttempt();
  const found = () => {
    const [said, reported] = [answered(), readCameraTest(props.reported)];
    return said && (!reported || said.at_ms > reported.at_ms) ? said : reported;
  };
  const test = (call: Call) =>
    attempt.make(async () => {
      setAnswered(readCameraTest(await call.call('network.test', undefined, TEST_PATIENCE_MS)));
    });
  return (
    <section class="way" aria-label="Network">
      <p class="way-line">
        <span data-testid="path-line">{props.path ? pathSentence(props.path) : ''}</span>
        <PageLink href="/network" testId="my-network">
          Test my network
        </PageLink>
        <Show when={props.call}>
          {(call) => (
            <button class="inline" type="button" data-testid="camera-test" disabled={attempt.busy()} onClick={() => void test(call())}>
              {attempt.busy() ? 'The camera is testing its network…' : "Test the camera's network"}
            </button>
          )}
        </Show>
      </p>
      <Trouble text={attempt.trouble()} />
      <Show when={found()}>
        {(found) => (
          <details class="panel camera-test" data-testid="camera-checks" open={worst(found().checks) === 'failed'}>
            <summary>
              {SUMMARIES[worst(found().checks)]} <span class="hint">{ago(found().at_ms, now())}</span>
            </summary>
            <CheckList checks={found().checks} />
          </details>
        )}
      </Show>
    </section>
  );
}
