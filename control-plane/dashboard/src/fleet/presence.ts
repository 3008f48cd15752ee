/** What a live update changes about a camera in the list. Pure. */

import type { Camera } from '../api/cameras';
import type { CameraUpdate } from '../signalling/messages';

/** The camera as it is after the update; the same object when nothing changed. */
export function withUpdate(before: Camera, { presence, since_ms, viewers, state }: CameraUpdate): Camera {
  const news = Object.keys(state).length > 0;
  const reported = news ? { ...before, state: { ...before.state, ...state } } : before;
  const camera = viewers === null ? reported : { ...reported, viewers };
  if (presence === null) return camera;
  // Updates and the list travel on two ways: the older word does not undo the newer.
  if (camera.since_ms !== null && since_ms < camera.since_ms) return camera;
  return {
    ...camera,
    online: presence.online,
    reason: presence.online ? null : (presence.reason ?? null),
    since_ms,
    firmware: presence.firmware,
    viewers: presence.online ? camera.viewers : 0,
  };
}

/** Cameras that are online first, then by name. */
export function inOrder(cameras: readonly Camera[]): Camera[] {
  return cameras.toSorted((a, b) => Number(b.online) - Number(a.online) || a.name.localeCompare(b.name));
}
