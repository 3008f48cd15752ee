/**
 * Gathers things that come in quick succession into one message: the first one starts a short wait, and what comes
 * meanwhile travels with it. Pure: times are passed in, and the caller keeps the timer.
 */
export class Batch<T> {
  #items: T[] = [];
  #due: number | undefined;

  /** Waits `delay` milliseconds after the first item; takes at most `limit` items at a time. */
  constructor(
    private readonly delay: number,
    private readonly limit: number,
  ) {}

  /** Adds one more. */
  add(item: T, now: number): void {
    this.#items.push(item);
    this.#due ??= now + this.delay;
    if (this.#items.length >= this.limit) this.#due = now;
  }

  /** Forgets what has not been taken. */
  clear(): void {
    this.#items = [];
    this.#due = undefined;
  }

  /** When {@link take} has something to give; `undefined` while there is nothing to wait for. */
  get due(): number | undefined {
    return this.#due;
  }

  /** What is due now, in order; empty while it is too early. */
  take(now: number): T[] {
    if (this.#due === undefined || now < this.#due) return [];
    const taken = this.#items.splice(0, this.limit);
    this.#due = this.#items.length > 0 ? now : undefined;
    return taken;
  }
}
