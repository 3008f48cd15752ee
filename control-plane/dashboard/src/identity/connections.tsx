/** When a camera came and went, and why. */

import { For, Show } from 'solid-js';
import type { Connection } from '../api/identity';
import { now } from '../parts/ticking';
import { clock } from '../text/format';
import { connectionWords } from './words';

export function Connections(props: { connections: readonly Connection[] }) {
  return (
    <Show when={props.connections.length > 0} fallback={<p class="hint">It has never connected.</p>}>
      <ol class="connections" data-testid="connections">
        <For each={props.connections}>
          {(connection) => (
            <li classList={{ 'connection-online': connection.online }}>
              <span class="dot" aria-hidden="true" />
              <time>{clock(connection.at_ms, now())}</time>
              <span>{connectionWords(connection)}</span>
            </li>
          )}
        </For>
      </ol>
    </Show>
  );
}
