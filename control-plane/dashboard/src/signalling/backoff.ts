/**
 * How long to wait before trying again: doubling with full jitter, so that a thousand browsers do not come back in
 * the same second. Pure: randomness is passed in.
 */
export class Backoff {
  #attempt = 0;

  constructor(
    private readonly firstMs: number,
    private readonly longestMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  /** The next wait, in milliseconds: at least a quarter of the ceiling, so that it never spins. */
  next(): number {
    const ceiling = Math.min(this.longestMs, this.firstMs * 2 ** this.#attempt);
    this.#attempt += 1;
    return ceiling * (0.25 + 0.75 * this.random());
  }

  /** It worked: begin anew. */
  reset(): void {
    this.#attempt = 0;
  }
}
