/** What the page says while there is no picture, or besides it. Pure. */

import type { Standing } from '../api/cameras';
import type { CallEnd } from '../rtc/call';
import type { Status } from '../rtc/player';
import { endSentence } from '../text/reasons';

export interface StatusText {
  /** Short: the line that is read out. */
  headline: string;
  /** One more sentence, where it helps. */
  detail: string;
  /** How it looks. */
  tone: 'live' | 'mending' | 'busy' | 'waiting' | 'bad';
  /** Whether the person can do something by trying again. */
  again: boolean;
}

/** `offline` is what is known of the camera's absence: why, and since when. */
export function statusText(status: Status, offline: string, standing: Standing = 'trusted'): StatusText {
  if (standing !== 'trusted' && status.at !== 'playing') return keptOut(standing);
  if ('after' in status && status.after && status.at !== 'playing') return tryingAgain(status.after);
  switch (status.at) {
    case 'opening':
      return busy('Asking for the picture…');
    case 'answering':
      return busy('Waiting for the camera…');
    case 'connecting':
      return busy('Camera verified, connecting…');
    case 'playing':
      return { headline: 'Live', detail: '', tone: 'live', again: false };
    case 'interrupted':
      // The last picture stays.
      return { headline: 'Looking for another path…', detail: '', tone: 'mending', again: false };
    case 'retrying':
      return tryingAgain(status.end);
    case 'unsignalled':
      return busy('Connecting to the control plane…');
    case 'offline':
      return {
        headline: 'Camera is offline',
        detail: `${offline}${offline ? ' ' : ''}The picture starts by itself when it is back.`,
        tone: 'waiting',
        again: false,
      };
    case 'stopped':
      return { ...stopped(status.end.reason), detail: endSentence(status.end), tone: 'bad', again: true };
  }
}

function keptOut(standing: Standing): StatusText {
  return { headline: `Camera is ${standing}`, detail: 'Its identity page says why.', tone: 'bad', again: false };
}

function busy(headline: string, detail = ''): StatusText {
  return { headline, detail, tone: 'busy', again: false };
}

function tryingAgain(end: CallEnd): StatusText {
  switch (end.reason) {
    case 'no_answer':
      return busy('No answer from the camera: trying again…');
    case 'no_path':
      return busy('No way through the network yet: trying again…');
    case 'failed':
      return busy('That did not work: trying again…', endSentence(end));
    default:
      return busy('Connection lost: reconnecting…');
  }
}

function stopped(reason: string): Pick<StatusText, 'headline'> {
  switch (reason) {
    case 'untrusted':
      return { headline: 'Not trusted: no picture is shown' };
    case 'viewer_closed':
      return { headline: 'Closed' };
    default:
      return { headline: 'The picture was refused' };
  }
}
