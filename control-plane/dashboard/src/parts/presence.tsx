/** Whether a camera is there: a dot, a word, and for an absent one why and since when. */

import { Show } from 'solid-js';
import type { Camera } from '../api/cameras';
import { ago } from '../text/format';
import { offlineReason } from '../text/reasons';
import { now } from './ticking';

export function PresencePill(props: { online: boolean }) {
  return (
    <span class="pill" classList={{ 'pill-online': props.online, 'pill-offline': !props.online }} data-testid="camera-online" data-online={props.online}>
      <span class="dot" aria-hidden="true" />
      {props.online ? 'Online' : 'Offline'}
    </span>
  );
}

export function PresenceDetail(props: { camera: Camera }) {
  const since = () => (props.camera.since_ms === null ? '' : ago(props.camera.since_ms, now()));
  return (
    <Show when={!props.camera.online} fallback={<span>{since() && `Connected ${since()}`}</span>}>
      <Show when={since()} fallback={<span>Never connected yet</span>}>
        <span>
          Went offline {since()}
          <Show when={offlineReason(props.camera.reason)}>{(reason) => `: ${reason()}`}</Show>
        </span>
      </Show>
    </Show>
  );
}
