/** Five browsers watch one camera: one encoder serves them, and one that stalls is nobody else's trouble. */

import { readdirSync, readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { type Dashboard, launch, open } from './lib/dashboard';
import { ask, script } from './lib/xtask';

const OTHERS = 4;
/** The part of its frame rate that a viewer may lose to chance in a window of seconds. */
const SLACK = 0.1;
/** A gap that a person sees. */
const FREEZE_MS = 500;

/** A process and all below it. */
function family(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      // "pid (name) state parent ...", and the name may hold anything.
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended meanwhile.
    }
  }
  const members = [root];
  for (const member of members) {
    for (const [pid, parent] of parents) if (parent === member) members.push(pid);
  }
  return members;
}

function metric(text: string, name: string): number {
  const line = text.split('\n').find((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

const rates = (viewers: Dashboard[], seconds: number) =>
  Promise.all(viewers.map((viewer) => viewer.frameRate(seconds)));

await script(async (input, checks) => {
  const browser = await launch(input);
  const others: Dashboard[] = [];
  for (let index = 0; index < OTHERS; index += 1) {
    const viewer = await open(browser, input);
    await viewer.watch();
    others.push(viewer);
  }
  // The fifth in a Chromium of its own, so that all of it can be stopped.
  const lone = await chromium.launchServer({ executablePath: input.chromium, headless: true, args: ['--no-sandbox'] });
  const fifth = await open(await chromium.connect(lone.wsEndpoint()), input);
  await fifth.watch();

  const before = await rates([...others, fifth], 5);
  const figures = await ask('metrics');
  const encoders = metric(figures, 'heron_encoders_running');
  const viewers = metric(figures, 'heron_viewers');
  checks.expect(encoders === 1, `one encoder running, the camera's metrics say ${encoders}`);
  checks.expect(viewers === OTHERS + 1, `${OTHERS + 1} viewers, the camera's metrics say ${viewers}`);

  const pids = family(lone.process().pid ?? 0);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  for (const viewer of others) await viewer.page.evaluate(() => window.probe.pictures.splice(0));
  const after = await rates(others, 10);
  const gaps = await Promise.all(
    others.map(async (viewer) => {
      const times = (await viewer.pictures()).map(({ at }) => at);
      return Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)));
    }),
  );
  // Gone for good, as when a phone loses its network.
  for (const pid of pids.reverse()) process.kill(pid, 'SIGKILL');
  await browser.close();

  others.forEach((_, index) => {
    const [was, is] = [before[index] ?? 0, after[index] ?? 0];
    checks.expect(is >= was * (1 - SLACK), `viewer ${index + 1} keeping its ${was.toFixed(1)} fps, got ${is.toFixed(1)}`);
    checks.expect((gaps[index] ?? 0) < FREEZE_MS, `viewer ${index + 1} without a freeze, one took ${gaps[index]} ms`);
  });
  const fps = (value: number | undefined) => (value === undefined ? '-' : value.toFixed(1));
  return {
    heading: ['viewer', 'fps of five', 'fps while one is stalled', 'longest gap'],
    figures: [...others, fifth].map((_, index) => [
      `${index + 1}`,
      fps(before[index]),
      index < OTHERS ? fps(after[index]) : 'stalled',
      index < OTHERS ? `${(gaps[index] ?? 0).toFixed(0)} ms` : '-',
    ]),
    line: `five-viewers: ${viewers} viewers, ${encoders} encoder, ${Math.min(...before).toFixed(1)} fps at least; with one stalled ${Math.min(...after).toFixed(1)}`,
  };
});
