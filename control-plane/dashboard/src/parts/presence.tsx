/** Whether a camera is there: a dot, a word, and for an absent one why and since when. */

import type { Camera, Standing } from '../api/cameras';
import { ago } from '../text/format';
import { offlineReason } from '../text/reasons';
import { now } from './ticking';

const KEPT_OUT = { trusted: undefined, quarantined: 'Quarantined', revoked: 'Revoked' };

export function PresencePill(props: { online: boolean; standing: Standing }) {
  return (
    <span
      class="pill"
      classList={{
        'pill-online': props.online,
        'pill-offline': !props.online,
        'pill-kept-out': KEPT_OUT[props.standing] !== undefined,
      }}
      data-testid="camera-online"
      data-online={props.online}
      data-standing={props.standing}
    >
      <span class="dot" aria-hidden="true" />
      {KEPT_OUT[props.standing] ?? (props.online ? 'Online' : 'Offline')}
    </span>
  );
}

export function PresenceDetail(props: { camera: Camera }) {
  const text = () => {
    const { online, reason, since_ms, standing } = props.camera;
    if (standing !== 'trusted') return 'It is kept out, and cannot connect';
    if (since_ms === null) return online ? '' : 'Never connected yet';
    const since = ago(since_ms, now());
    if (online) return `Connected ${since}`;
    const why = offlineReason(reason);
    return `Went offline ${since}${why ? `: ${why}` : ''}`;
  };
  return <span>{text()}</span>;
}
