/**
 * Keeps a camera's picture on the screen: makes a call, and after an end decides whether to make another one, to wait
 * for the camera or the link, or to leave it to the person. It owns the timers; what the page shows is `Status`.
 */

import { Backoff } from '../signalling/backoff';
import { Call, type CallEnd, type CallState, type Rung, type Signals } from './call';
import type { Figures, ShownFrame } from './figures';
import { afterEnd } from './retry';
import type { Keys } from './trust';

export type Status =
  /** A call is under way; `after` is how the one before it ended, while this one has not led to a picture. */
  | { at: CallState; after?: CallEnd }
  /** The broker cannot be reached yet. */
  | { at: 'unsignalled' }
  /** Begins when the camera is online. */
  | { at: 'offline' }
  /** The last call ended; the next one follows by itself. */
  | { at: 'retrying'; end: CallEnd }
  /** Over until the person asks again. */
  | { at: 'stopped'; end: CallEnd };

export interface PlayerEvents {
  status(status: Status): void;
  media(stream: MediaStream): void;
  /** Once a second while connected. */
  figures(figures: Figures): void;
  /** Which size of the picture comes; null when the camera does not say. */
  rung(rung: Rung | null): void;
  /** The camera said something unasked. */
  notified(method: string): void;
  /** The proof held, or a new call has not come to it yet. */
  trusted(trusted: boolean): void;
}

/** What a player needs to know of its surroundings. */
export interface Surroundings {
  signals: Signals;
  linked(): boolean;
  online(): boolean;
  keys: Keys;
}

const FIGURES_MS = 1000;
const REPORT_EVERY = 5;
/** So long after an end, what is known of the camera's presence is true again. */
const SETTLE_MS = 2000;

export class Player {
  #call: Call | undefined;
  #status: Status = { at: 'opening' };
  /** How the last call ended, until a picture comes. */
  #after: CallEnd | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #poll: ReturnType<typeof setInterval> | undefined;
  #polls = 0;
  #stopped = false;
  readonly #backoff = new Backoff(500, 10_000);

  constructor(
    private readonly camera: string,
    private readonly around: Surroundings,
    private readonly events: PlayerEvents,
  ) {}

  /** The call that runs now. */
  get call(): Call | undefined {
    return this.#call;
  }

  /** Begins, counting the start from `clicked`. Also the person's "try again". */
  start(clicked: number): void {
    clearTimeout(this.#retry);
    if (this.#stopped) return;
    if (!this.around.linked()) return this.#become({ at: 'unsignalled' });
    if (!this.around.online()) return this.#become({ at: 'offline' });
    this.#under('opening');
    this.events.trusted(false);
    this.#polls = 0;
    const call = new Call(this.around.signals, this.camera, this.around.keys, clicked, {
      state: (state) => this.#calls(call, state),
      media: (stream) => this.events.media(stream),
      ended: (end) => this.#ended(end),
      notified: (method) => this.events.notified(method),
    });
    this.#call = call;
    this.#poll = setInterval(() => void this.#measure(call), FIGURES_MS);
  }

  /** The link or the camera changed: what waited for it may begin. */
  surroundingsChanged(): void {
    const { at } = this.#status;
    this.#call?.surroundingsChanged(false);
    if (at === 'unsignalled' && this.around.linked()) this.start(performance.now());
    if (at === 'offline' && this.around.online()) this.start(performance.now());
  }

  /** The network here changed: there may be another path. */
  networkChanged(): void {
    this.#call?.surroundingsChanged(true);
  }

  /** A picture was shown. */
  shown(frame: ShownFrame): void {
    if (!this.#call?.shown(frame)) return;
    this.#backoff.reset();
    void this.#measure(this.#call).then(() => this.#call?.report());
  }

  /** The viewer leaves. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#call?.close();
  }

  #calls(call: Call, state: CallState): void {
    if (state === 'playing') this.#after = undefined;
    this.events.trusted(call.trusted);
    this.#under(state);
  }

  #under(at: CallState): void {
    this.#become(this.#after === undefined ? { at } : { at, after: this.#after });
  }

  #ended(end: CallEnd): void {
    clearInterval(this.#poll);
    this.#call = undefined;
    if (this.#stopped) return;
    this.events.trusted(false);
    const next = afterEnd(end);
    this.#after = next === 'retry' ? end : undefined;
    switch (next) {
      case 'retry':
        this.#become({ at: 'retrying', end });
        this.#retry = setTimeout(() => this.start(performance.now()), this.#backoff.next());
        return;
      case 'when_online':
        this.#become({ at: 'offline' });
        // The news of its return may already have been here.
        this.#retry = setTimeout(() => this.surroundingsChanged(), SETTLE_MS + this.#backoff.next());
        return;
      case 'stop':
        return this.#become({ at: 'stopped', end });
    }
  }

  async #measure(call: Call): Promise<void> {
    const figures = await call.measure();
    if (call !== this.#call) return;
    this.events.figures(figures);
    this.#polls += 1;
    if (this.#polls % REPORT_EVERY === 0) call.report();
    const rung = await call.rung();
    if (call === this.#call) this.events.rung(rung);
  }

  #become(status: Status): void {
    this.#status = status;
    this.events.status(status);
  }
}
