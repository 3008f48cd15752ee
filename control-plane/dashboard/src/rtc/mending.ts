/**
 * When a call looks for another path (an ICE restart, RFC 8445 section 9). Pure: times are passed in, and the caller
 * keeps the timer.
 *
 * ```text
 * sound --lost, stalled, changed, wanted--> broken or doubtful --asked--> waiting --mended--> sound
 *                                                  ^                        |
 *                                                  +----- no answer --------+
 * ```
 *
 * Asking costs little and ends nothing: the path that there is goes on until a better one is found. So a doubt is enough,
 * and an unanswered question is asked again, each time after a longer wait.
 */

/** A path that the browser calls disconnected may still carry something within this. */
export const DOUBT_MS = 500;
/** A camera sends something, if only two reports a second, more often than this. */
export const STALL_MS = 800;
/** The control plane takes no question sooner after the one before than half a second. */
const SPACING_MS = 600;
/** Waits between questions; the last one repeats. */
const WAITS_MS = [1000, 2000, 4000] as const;
/** What an answer leads to is given this long before it is thrown away for another try: through relays it takes a second. */
const LOOK_MS = 2000;
/** So often at most, where the old path still carries: a camera that never answers cannot. */
const MOST_FOR_BETTER = 5;
/** Broken for so long, the call is given up. */
export const GIVE_UP_MS = 40_000;

export class Mending {
  /** Since when the path carries nothing; `undefined` while it does, or may. */
  #brokenSince: number | undefined;
  /** When to ask next; `undefined` while there is nothing to ask for. */
  #due: number | undefined;
  /** Questions since the path was sound. */
  #asked = 0;
  #askedAt = Number.NEGATIVE_INFINITY;
  #answered = false;
  #heard: { count: number; at: number } | undefined;

  /** When {@link isDue}; for the caller's timer. */
  get due(): number | undefined {
    return this.#due;
  }

  /** Whether a path is looked for because there is none. */
  get broken(): boolean {
    return this.#brokenSince !== undefined;
  }

  /** Whether it is time to ask. */
  isDue(now: number): boolean {
    return this.#due !== undefined && now >= this.#due;
  }

  /** Whether looking further is of no use. */
  isHopeless(now: number): boolean {
    return this.#brokenSince !== undefined && now - this.#brokenSince >= GIVE_UP_MS;
  }

  /** The browser says that the path carries nothing; it may be wrong for a moment. */
  lost(now: number): void {
    this.#brokenSince ??= now;
    this.#ask(now + DOUBT_MS);
  }

  /** The browser has given the path up. */
  failed(now: number): void {
    this.#brokenSince ??= now;
    this.#ask(now);
  }

  /** The network changed, here or at the camera: there may be a better path, or soon none. */
  changed(now: number): void {
    // Whatever was asked before, it was with addresses of before.
    this.#asked = 0;
    this.#due = Math.max(now, this.#askedAt + SPACING_MS);
  }

  /** How many bytes have come so far; a count that stands still is a path that carries nothing. True if it is broken now. */
  received(count: number, now: number): boolean {
    // Between two paths there is none, and nothing is counted.
    if (this.#heard === undefined || (this.#heard.count !== count && count > 0)) {
      this.#heard = { count, at: now };
      return false;
    }
    if (now - this.#heard.at < STALL_MS) return false;
    this.#brokenSince ??= this.#heard.at;
    this.#ask(now);
    return true;
  }

  /** The question was said. */
  asked(now: number): void {
    const wait = WAITS_MS[Math.min(this.#asked, WAITS_MS.length - 1)] ?? 0;
    this.#asked += 1;
    this.#askedAt = now;
    this.#answered = false;
    this.#due = now + wait;
    if (!this.broken && this.#asked >= MOST_FOR_BETTER) this.#rest();
  }

  /** Nobody could hear it: that is no reason to wait longer each time. */
  unheard(now: number): void {
    this.#asked = 0;
    this.#due = now;
  }

  /**
   * The camera has answered, which covers whatever it asked for before: where the old path still carries, there is
   * nothing more to do.
   */
  answered(now: number): void {
    this.#answered = true;
    if (this.broken) this.#due = now + LOOK_MS;
    else this.#rest();
  }

  /** The path carries something. */
  mended(now: number): void {
    const unanswered = this.#asked > 0 && !this.#answered;
    this.#brokenSince = undefined;
    this.#heard = this.#heard && { ...this.#heard, at: now };
    // A change of the network is still to be made use of, though the old path carries again.
    if (!unanswered) this.#rest();
  }

  #rest(): void {
    this.#asked = 0;
    this.#due = undefined;
  }

  /** Asks then; a question that is already under way is given its time. */
  #ask(at: number): void {
    if (this.#asked > 0) return;
    // Nor does it hurry a path that was found to be broken only after the camera had asked and was answered.
    const soonest = Math.max(at, this.#askedAt + WAITS_MS[0]);
    this.#due = Math.min(this.#due ?? soonest, soonest);
  }
}
