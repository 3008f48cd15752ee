/** The link of the network lab between camera and browser, as xtask holds it. */

import { ask } from './xtask';

/** What happens to packets towards the browser. On the way back they are only delayed. */
export interface Condition {
  kbps: number;
  delayMs: number;
  jitterMs?: number;
  /** 0 to 1. */
  loss?: number;
}

/** The link at one moment; what counts does so from when it was made. */
interface Moment {
  at: number;
  offered: number;
  delivered: number;
}

/** Changes the link; resolves with when, in milliseconds of the machine's clock. */
export async function setLink(condition: Condition): Promise<number> {
  await ask('link', JSON.stringify({ jitterMs: 0, loss: 0, ...condition }));
  return Date.now();
}

/** What went over the link. */
export class Trace {
  private constructor(private readonly moments: Moment[]) {}

  /** Everything so far. */
  static async read(): Promise<Trace> {
    const rows = JSON.parse(await ask('trace')) as [number, number, number][];
    return new Trace(rows.map(([at, offered, delivered]) => ({ at, offered, delivered })));
  }

  /** Bits a second that the sender gave the link. */
  sent(from: number, to: number): number {
    return this.rate('offered', from, to);
  }

  /** Bits a second that the link passed on. */
  passed(from: number, to: number): number {
    return this.rate('delivered', from, to);
  }

  /**
   * How long after `from` the first second begins over which `holds` of what was sent; Infinity when none does that
   * ends by `to`.
   */
  until(from: number, to: number, holds: (bitsPerSecond: number) => boolean): number {
    const found = this.moments.find(({ at }) => at >= from && at + 1000 <= to && holds(this.sent(at, at + 1000)));
    return found === undefined ? Number.POSITIVE_INFINITY : found.at - from;
  }

  private rate(what: 'offered' | 'delivered', from: number, to: number): number {
    const at = (time: number) => this.moments.findLast((moment) => moment.at <= time) ?? this.moments[0];
    const [first, last] = [at(from), at(to)];
    if (first === undefined || last === undefined || last.at === first.at) return Number.NaN;
    return ((last[what] - first[what]) * 8000) / (last.at - first.at);
  }
}
