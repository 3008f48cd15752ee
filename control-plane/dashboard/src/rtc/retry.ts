/** What to do after a call ended. Pure. */

import type { CallEnd } from './call';

/** Try again after a wait, begin again when the camera is back, or leave it to the person. */
export type Next = 'retry' | 'when_online' | 'stop';

export function afterEnd({ reason }: CallEnd): Next {
  switch (reason) {
    case 'viewer_vanished':
    case 'no_path':
    case 'no_answer':
    case 'failed':
    case 'unsignalled':
      return 'retry';
    case 'camera_offline':
    case 'camera_shutdown':
      return 'when_online';
    // Trying again by itself would not change these, or would hide something a person should see.
    case 'viewer_closed':
    case 'grant_refused':
    case 'not_allowed':
    case 'limit':
    case 'bad_message':
    case 'untrusted':
      return 'stop';
    default:
      // A reason of a newer control plane.
      return 'stop';
  }
}
