/**
 * The path of a session that runs is broken, and the picture comes back by itself: how long after there is a path. What
 * counts is a picture that was drawn after that moment, by its own clock.
 */

import type { Page } from 'playwright-core';
import { launch, open } from './lib/dashboard';
import { ms } from './lib/statistics';
import { ask, script } from './lib/xtask';

const BACK_MS = 3000;
const LIMIT_MS = 30_000;
const START_MS = 60_000;
/** How long a session runs before its path breaks. */
const BEFORE_MS = 4000;

/** The address of a relay in the path: this end's own, or the camera's. */
async function relay(page: Page): Promise<string> {
  const lines = await page.evaluate(() => window.probe.tried());
  const chosen = lines.find((line) => line.startsWith('chosen pair:')) ?? '';
  return /relay \w+ ([\d.]+):/.exec(chosen)?.[1] ?? '';
}

await script(async (input, checks) => {
  const rows: string[][] = [];
  const data: object[] = [];
  for (const { name, kind } of input.events ?? []) {
    const chromium = input.viewers?.find((viewer) => viewer.kind === kind)?.chromium ?? '';
    const browser = await launch({ ...input, chromium });
    const seen = { name, kind, before: '', after: '', backMs: Number.POSITIVE_INFINITY, connections: 0, said: '', timeline: [] as string[] };
    try {
      const dashboard = await open(browser, input);
      const { page } = dashboard;
      await dashboard.signIn();
      await dashboard.cameraOnline(START_MS, kind);
      await dashboard.start(START_MS, kind);
      await page.waitForTimeout(BEFORE_MS);
      const before = await dashboard.received();
      seen.before = `${before.path}, ${before.protocol}`;
      const broken = Number(await ask(name, await relay(page)));
      const back = await page
        .waitForFunction(
          (broken) => {
            const drawn = ({ at, age }: { at: number; age: number | null }) => performance.timeOrigin + at - (age ?? Infinity);
            const picture = window.probe.pictures.find((picture) => drawn(picture) > broken);
            return picture === undefined ? undefined : performance.timeOrigin + picture.at - broken;
          },
          broken,
          { timeout: LIMIT_MS },
        )
        .then((found) => found.jsonValue(), () => undefined);
      seen.backMs = back ?? Number.POSITIVE_INFINITY;
      seen.timeline = await page.evaluate((broken) => window.probe.timeline(broken), broken);
      const after = await dashboard.received();
      seen.after = `${after.path}, ${after.protocol}`;
      // More than one: the page began a new session, which takes no click either.
      seen.connections = after.connections;
      seen.said = back === undefined ? await dashboard.status() : '';
    } catch (error) {
      seen.said = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error);
    } finally {
      await browser.close();
    }
    console.log(`${name}: ${ms(seen.backMs)} ${seen.said}`);
    checks.expect(seen.backMs <= BACK_MS, `${name}: the picture back within ${BACK_MS} ms, it took ${ms(seen.backMs)} ${seen.said}`);
    rows.push([name, seen.before, seen.after, `${seen.connections}`, ms(seen.backMs)]);
    data.push(seen);
  }
  const times = data.map((seen) => (seen as { backMs: number }).backMs);
  return {
    heading: ['what happens', 'path before', 'path after', 'peer connections', 'a new picture after'],
    figures: rows,
    data,
    line: `nat-events: ${times.filter((time) => time <= BACK_MS).length} of ${times.length} pictures back within ${BACK_MS} ms, the slowest after ${ms(Math.max(...times))}`,
  };
});
