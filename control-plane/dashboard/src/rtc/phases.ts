/** The start of a session, phase by phase, in milliseconds since the click. */

import type { ViewerPhases } from '../signalling/messages';

/** The phases in the order in which they end. */
export const PHASES = ['opened', 'answered', 'ice', 'dtls', 'first_frame'] as const;

export type Phase = (typeof PHASES)[number];

/** Remembers when each phase first ended. Pure: times are passed in. */
export class Phases {
  readonly #ended = new Map<Phase, number>();

  /** `clicked` is the time of the click, on the same clock as all later times. */
  constructor(private readonly clicked: number) {}

  /** The phase ended now; only the first time counts. True if this was it. */
  end(phase: Phase, now: number): boolean {
    if (this.#ended.has(phase)) return false;
    this.#ended.set(phase, Math.max(0, now - this.clicked));
    return true;
  }

  /** The phases as they travel. */
  report(): ViewerPhases {
    const at = (phase: Phase) => rounded(this.#ended.get(phase));
    return {
      opened_ms: at('opened'),
      answered_ms: at('answered'),
      ice_ms: at('ice'),
      dtls_ms: at('dtls'),
      first_frame_ms: at('first_frame'),
    };
  }
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms * 10) / 10;
}
