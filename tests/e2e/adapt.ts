/**
 * Chromium behind a link that turns bad, once with Heron and once with a peer of fixed bitrate: how soon the sender
 * follows, and what a person sees of it. Then one slow viewer among fast ones.
 */

import type { Browser } from 'playwright-core';
import { setLink, Trace } from './lib/link';
import { median, ms } from './lib/statistics';
import { launch, serve, type Served, Viewer } from './lib/viewer';
import { type Checks, script } from './lib/xtask';

const WANTED = { followMs: 1000, freezeMs: 500, recoverMs: 10_000 };
const FAST = { kbps: 5000, delayMs: 10 };
const SLOW = { kbps: 1000, delayMs: 10 };
const LOSSY = { kbps: 5000, delayMs: 10, jitterMs: 40, loss: 0.05 };
/** The slow viewer's among fast ones: less than the sub rung takes at its best. */
const CROWDED = { kbps: 600, delayMs: 10 };
/** Time for a start, its key frame and its probing to be over. */
const SETTLE_MS = 12_000;
const SLOW_MS = 15_000;
const FAST_AGAIN_MS = 20_000;
const LOSSY_MS = 30_000;
const OTHERS = 4;
/** The part of its frame rate that a viewer may lose to chance in a window of seconds. */
const SLACK = 0.1;

interface Seen {
  fps: number;
  freezes: number;
  freezeMs: number;
  longestMs: number;
  width: number;
  lost: number;
  nacks: number;
  plis: number;
  fec: number;
}

/** What a person saw in a span of time. */
async function seen(viewer: Viewer, from: number, to: number): Promise<Seen> {
  const all = (await viewer.samples()).filter(({ at }) => at >= from && at <= to);
  const [first, last] = [all[0], all.at(-1)];
  if (first === undefined || last === undefined) throw new Error('no statistics in the span');
  // The picture on the screen when the span begins and the one when it ends belong to it.
  const shown = (await viewer.shown()).filter((at) => at > from && at < to);
  const times = [from, ...shown, to];
  const count = (name: 'freezes' | 'lost' | 'nacks' | 'plis' | 'fec') => last[name] - first[name];
  return {
    fps: ((last.frames - first.frames) * 1000) / (last.at - first.at),
    freezes: count('freezes'),
    freezeMs: (last.freezeSeconds - first.freezeSeconds) * 1000,
    longestMs: Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at))),
    width: last.width,
    lost: count('lost'),
    nacks: count('nacks'),
    plis: count('plis'),
    fec: count('fec'),
  };
}

interface Step {
  beforeKbps: number;
  followMs: number;
  recoverMs: number;
  use: number;
  slow: Seen;
  again: Seen;
}

async function step(viewer: Viewer): Promise<Step> {
  await viewer.wait(SETTLE_MS);
  const down = await setLink(SLOW);
  await viewer.wait(SLOW_MS);
  const up = await setLink(FAST);
  await viewer.wait(FAST_AGAIN_MS);
  const end = Date.now();
  const trace = await Trace.read();
  const before = trace.sent(down - 5000, down);
  return {
    beforeKbps: before / 1000,
    followMs: trace.until(down, up, (rate) => rate <= SLOW.kbps * 1000),
    recoverMs: trace.until(up, end, (rate) => rate >= 0.8 * before),
    use: trace.passed(down + 2000, up) / (SLOW.kbps * 1000),
    slow: await seen(viewer, down, up),
    again: await seen(viewer, up, end),
  };
}

interface Lossy {
  kbps: number;
  seen: Seen;
}

async function lossy(viewer: Viewer): Promise<Lossy> {
  await viewer.wait(SETTLE_MS / 2);
  const from = await setLink(LOSSY);
  await viewer.wait(LOSSY_MS);
  const to = Date.now();
  return { kbps: (await Trace.read()).passed(from, to) / 1000, seen: await seen(viewer, from, to) };
}

interface Crowd {
  before: Seen[];
  after: Seen[];
  slow: Seen;
}

/** One viewer's link turns slow while others watch on an undisturbed one. */
async function crowd(chromium: string, served: Served, behind: Browser): Promise<Crowd> {
  const lone = await Viewer.watch(behind, served);
  const here = await launch(chromium);
  const others: Viewer[] = [];
  for (let index = 0; index < OTHERS; index += 1) others.push(await Viewer.watch(here, served));
  await lone.wait(SETTLE_MS);
  const down = await setLink(CROWDED);
  await lone.wait(SLOW_MS);
  const end = Date.now();
  const result = {
    before: await Promise.all(others.map((viewer) => seen(viewer, down - 5000, down))),
    after: await Promise.all(others.map((viewer) => seen(viewer, down, end))),
    slow: await seen(lone, down + 2000, end),
  };
  await here.close();
  return result;
}

const number = (value: number, digits = 0): string => (Number.isFinite(value) ? value.toFixed(digits) : 'never');
const frozen = ({ freezes, freezeMs, longestMs }: Seen): string => `${freezes}, ${ms(freezeMs)}, ${ms(longestMs)}`;

function expectStep({ followMs, recoverMs, slow, again }: Step, checks: Checks): void {
  const { followMs: follow, freezeMs: freeze, recoverMs: recover } = WANTED;
  const longest = Math.max(slow.longestMs, again.longestMs);
  checks.expect(followMs <= follow, `the step 5 -> 1 Mbit/s followed within ${follow} ms, took ${number(followMs)}`);
  checks.expect(longest <= freeze, `no picture standing for over ${freeze} ms, one stood for ${number(longest)}`);
  checks.expect(recoverMs <= recover, `the rate back within ${recover} ms of the step 1 -> 5 Mbit/s, took ${number(recoverMs)}`);
}

function expectCrowd({ before, after }: Crowd, checks: Checks): void {
  after.forEach((is, index) => {
    const was = before[index] ?? is;
    checks.expect(is.width === was.width, `fast viewer ${index + 1} keeping its rung of ${was.width} pixels, got ${is.width}`);
    checks.expect(is.fps >= was.fps * (1 - SLACK), `fast viewer ${index + 1} keeping its ${was.fps.toFixed(1)} fps, got ${is.fps.toFixed(1)}`);
    checks.expect(is.longestMs <= WANTED.freezeMs, `fast viewer ${index + 1} without a freeze, one took ${number(is.longestMs)} ms`);
  });
}

await script(async (input, checks) => {
  const { servers = [], chromiumBehindLink = '' } = input;
  const [heron = ''] = servers;
  const steps: Step[] = [];
  const losses: Lossy[] = [];
  /** Starts the server and a browser for this one measurement. */
  async function behindLink<T>(server: string, measure: (viewer: Viewer) => Promise<T>): Promise<T> {
    await setLink(FAST);
    const served = await serve(server);
    const browser = await launch(chromiumBehindLink);
    const result = await measure(await Viewer.watch(browser, served));
    await browser.close();
    console.log(`${server}, ${measure.name}: ${JSON.stringify(result)}`);
    return result;
  }
  for (const server of servers) {
    steps.push(await behindLink(server, step));
    losses.push(await behindLink(server, lossy));
  }
  await setLink(FAST);
  const served = await serve(`${heron}-small`);
  const behind = await launch(chromiumBehindLink);
  const crowded = await crowd(input.chromium, served, behind);
  await behind.close();
  console.log(`${heron}, crowd: ${JSON.stringify(crowded)}`);

  const own = steps[0];
  if (own === undefined) throw new Error('nothing measured');
  expectStep(own, checks);
  expectCrowd(crowded, checks);

  const row = (name: string, cell: (of: Step) => string, wanted = '') => [name, ...steps.map(cell), wanted];
  const lossRow = (name: string, cell: (of: Lossy) => string) => [name, ...losses.map(cell), ''];
  const fast = (of: Seen[], figure: (of: Seen) => number) => median(of.map(figure));
  const figures: Record<string, number> = {};
  servers.forEach((server, index) => {
    const [stepped, lost] = [steps[index], losses[index]];
    if (stepped === undefined || lost === undefined) return;
    Object.assign(figures, {
      [`${server}_follow_ms`]: stepped.followMs,
      [`${server}_recover_ms`]: stepped.recoverMs,
      [`${server}_step_freezes`]: stepped.slow.freezes + stepped.again.freezes,
      [`${server}_step_frozen_ms`]: stepped.slow.freezeMs + stepped.again.freezeMs,
      [`${server}_step_longest_gap_ms`]: Math.max(stepped.slow.longestMs, stepped.again.longestMs),
      [`${server}_slow_fps`]: stepped.slow.fps,
      [`${server}_slow_link_use_percent`]: stepped.use * 100,
      [`${server}_lossy_freezes`]: lost.seen.freezes,
      [`${server}_lossy_frozen_ms`]: lost.seen.freezeMs,
      [`${server}_lossy_longest_gap_ms`]: lost.seen.longestMs,
      [`${server}_lossy_fps`]: lost.seen.fps,
      [`${server}_lossy_kbps`]: lost.kbps,
    });
  });
  return {
    heading: ['figure', ...servers, 'wanted'],
    figures: [
      row('sent before, kbit/s', ({ beforeKbps }) => number(beforeKbps)),
      row('5 -> 1 Mbit/s followed after, ms', ({ followMs }) => number(followMs), `${WANTED.followMs}`),
      row('1 -> 5 Mbit/s recovered after, ms', ({ recoverMs }) => number(recoverMs), `${WANTED.recoverMs}`),
      row('at 1 Mbit/s: freezes, total, longest gap', ({ slow }) => frozen(slow), `${WANTED.freezeMs} ms`),
      row('at 1 Mbit/s: fps', ({ slow }) => number(slow.fps, 1)),
      row('at 1 Mbit/s: link use', ({ use }) => `${number(use * 100)} %`),
      row('back at 5: freezes, total, longest gap', ({ again }) => frozen(again), `${WANTED.freezeMs} ms`),
      row('back at 5: fps', ({ again }) => number(again.fps, 1)),
      lossRow('5 % loss, 40 ms jitter: freezes, total, longest gap', (of) => frozen(of.seen)),
      lossRow('5 % loss, 40 ms jitter: fps', (of) => number(of.seen.fps, 1)),
      lossRow('5 % loss, 40 ms jitter: kbit/s', ({ kbps }) => number(kbps)),
      lossRow('5 % loss, 40 ms jitter: NACKs, PLIs, FEC packets', ({ seen }) => `${seen.nacks}, ${seen.plis}, ${seen.fec}`),
      ['four fast beside a slow one: width before, after', `${fast(crowded.before, ({ width }) => width)}, ${fast(crowded.after, ({ width }) => width)}`, '', 'same'],
      ['four fast beside a slow one: fps before, after', `${number(fast(crowded.before, ({ fps }) => fps), 1)}, ${number(fast(crowded.after, ({ fps }) => fps), 1)}`, '', 'same'],
      ['the slow one: width, fps, longest gap', `${crowded.slow.width}, ${number(crowded.slow.fps, 1)}, ${ms(crowded.slow.longestMs)}`, '', ''],
    ],
    data: { figures, spread: { steps, losses, crowd: crowded } },
    line:
      `adapt: 5 -> 1 Mbit/s followed after ${number(own.followMs)} ms, longest gap ${number(Math.max(own.slow.longestMs, own.again.longestMs))} ms, ` +
      `back after ${number(own.recoverMs)} ms; beside a slow viewer four kept ${fast(crowded.after, ({ width }) => width)} pixels at ` +
      `${number(fast(crowded.after, ({ fps }) => fps), 1)} fps`,
  };
});
