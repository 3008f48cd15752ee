/** What a test found, line by line. */

import { For, Show } from 'solid-js';
import type { Check, CheckState } from './checks';

const WORDS: Record<CheckState, string> = { ok: 'Good', warning: 'Not ideal', failed: 'Failed', skipped: 'Not tested' };

export function CheckList(props: { checks: readonly Check[] }) {
  return (
    <ul class="checks" data-testid="checks">
      <For each={props.checks}>
        {(check) => (
          <li class={`check check-${check.state}`} data-state={check.state}>
            <span class="check-mark" role="img" aria-label={WORDS[check.state]} title={WORDS[check.state]} />
            <div>
              <p class="check-name">{check.name}</p>
              <p>{check.sentence}</p>
              <Show when={check.advice}>{(advice) => <p class="check-advice">{advice()}</p>}</Show>
            </div>
          </li>
        )}
      </For>
    </ul>
  );
}
