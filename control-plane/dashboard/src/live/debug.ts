/**
 * `window.__heron`: what the live page knows of its session, for people who look into the console and for tests that
 * drive a browser. Read-only, and nothing in it that the page does not show anyway.
 *
 * ```text
 * __heron.session   the session id, once the control plane has made one
 * __heron.trusted   whether the camera's proof held
 * __heron.phases    milliseconds from the click to the end of each phase of the start
 * __heron.stats()   a promise of the figures now: framesDecoded, fps, path, totalAudioEnergy, latencyMs, ...
 * ```
 */

import type { Figures } from '../rtc/figures';
import type { Player } from '../rtc/player';
import type { ViewerPhases } from '../signalling/messages';

export interface HeronDebug {
  readonly session: string | undefined;
  readonly trusted: boolean;
  readonly phases: ViewerPhases | undefined;
  stats(): Promise<Figures | undefined>;
}

declare global {
  interface Window {
    __heron?: HeronDebug;
  }
}

/** Shows the player's call until the returned function is called. */
export function expose(player: Player): () => void {
  const debug: HeronDebug = Object.freeze({
    get session() {
      return player.call?.session;
    },
    get trusted() {
      return player.call?.trusted ?? false;
    },
    get phases() {
      return player.call?.phases.report();
    },
    stats: async () => await player.call?.figures(),
  });
  window.__heron = debug;
  return () => {
    if (window.__heron === debug) delete window.__heron;
  };
}
