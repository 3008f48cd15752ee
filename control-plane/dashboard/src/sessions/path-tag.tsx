/** The kind of a session's path, and how often it was looked for anew. */

import { Show } from 'solid-js';
import type { VideoSession } from '../api/sessions';
import { kindWords, relayWords } from '../text/paths';

export function PathTag(props: { session: VideoSession }) {
  const hint = () => (props.session.relay ? `Through ${relayWords(props.session.relay)}` : undefined);
  return (
    <Show when={kindWords(props.session.kind, props.session.path)} fallback="–">
      {(words) => (
        <span class={`tag tag-${props.session.path}`} title={hint()}>
          {words()}
        </span>
      )}
    </Show>
  );
}
