/**
 * A session looks for another path while it is watched: first because the browser's network changed, which nobody sees;
 * then because a firewall shuts its path, and another over TCP is found without a click. The session and its connection
 * stay the same throughout. Its record says so, and the browser's test of its network says what is shut. Pictures of the
 * pages about paths go to the output folder.
 */

import type { Page } from 'playwright-core';
import { Dashboard, launch, open } from './lib/dashboard';
import { ms } from './lib/statistics';
import { ask, type Checks, type Input, script } from './lib/xtask';

const LIMIT_MS = 30_000;
/** What a gap may be that nobody would call a freeze. */
const GAP_MS = 500;
/** From when the path is shut until another carries something. */
const MENDED_MS = 8000;
const PICTURES = 20;
const LOOKS = {
  desk: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  phone: { viewport: { width: 400, height: 820 }, colorScheme: 'light' },
} as const;

interface Session {
  id: string;
  restarts: number;
  kind: string | null;
  pairs: { chosen: boolean }[];
}

await script(async (input, checks) => {
  const browser = await launch(input);
  const dashboard = await open(browser, input, LOOKS.desk);
  const { page } = dashboard;
  await dashboard.watch();
  const current = () => page.evaluate(() => (window as unknown as { __heron?: { session?: string } }).__heron?.session ?? '');
  const session = await current();
  const record = async (): Promise<Session> => (await page.request.get(`${input.url}/api/v1/sessions/${session}`)).json();
  await page.evaluate(() => window.probe.pictures.splice(0));
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  const end = performance.now() + LIMIT_MS;
  while ((await record()).restarts < 1 && performance.now() < end) await page.waitForTimeout(50);
  checks.expect((await record()).restarts === 1, `another path looked for once, it was ${(await record()).restarts}`);
  await morePictures(page);
  const byBrowser = await longestGap(page);
  checks.expect(byBrowser < GAP_MS, `pictures going on while the browser asks, they stood still for ${ms(byBrowser)}`);

  await ask('block-udp');
  const shut = performance.now();
  await found(page, 'tcp');
  await morePictures(page);
  const mended = performance.now() - shut;
  checks.expect(mended < MENDED_MS, `another path within ${ms(MENDED_MS)}, it took ${ms(mended)}`);
  const { protocol } = await dashboard.received();
  checks.expect(protocol === 'tcp', `a path over TCP, got ${protocol}`);
  const { restarts } = await record();
  checks.expect(restarts >= 2, `the record counting both looks for a path, it says ${restarts}`);

  const same = await current();
  checks.expect(same === session, `the same session throughout, it was ${session} and is ${same}`);
  const { connections } = await dashboard.received();
  checks.expect(connections === 1, `the same connection throughout, there were ${connections}`);
  const line = await page.getByTestId('path-line').innerText();
  checks.expect(line.includes('directly'), `the page saying that the picture comes directly, it says: ${line}`);
  await dashboard.picture('desk-live');

  await pages(dashboard, input, checks, session);
  for (const look of ['dark', 'phone'] as const) {
    const other = await open(browser, input, LOOKS[look]);
    await other.signIn();
    await other.cameraOnline();
    await pages(other, input, checks, session, look);
    await other.context.close();
  }
  checks.expect(dashboard.complaints.length === 0, `pages without errors, got: ${dashboard.complaints.join('; ')}`);
  await browser.close();
  return { line: `new-path: pictures stood still for ${ms(byBrowser)} while a path was looked for; another path was there ${ms(mended)} after theirs was shut` };
});

/** The pages about paths, with what must be on them. */
async function pages(dashboard: Dashboard, input: Input, checks: Checks, session: string, look = 'desk'): Promise<void> {
  const { page } = dashboard;
  const shoot = async (name: string) => {
    await dashboard.picture(`${look}-${name}`);
    const spill = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    checks.expect(spill <= 0, `${look} ${name} fitting its screen, it is ${spill} px too wide`);
  };
  await page.goto(`${input.url}/sessions`);
  const row = page.getByTestId(`session-${session}`);
  await row.waitFor({ timeout: LIMIT_MS });
  const said = await row.innerText();
  checks.expect(/Direct/.test(said) && /\d changes?/.test(said), `path and changes in the list, which says: ${said}`);
  await shoot('sessions');
  await row.getByTestId('session-link').click();
  await page.getByTestId('session-facts').waitFor({ timeout: LIMIT_MS });
  await page.getByTestId('session-pairs').getByText('taken').first().waitFor({ timeout: LIMIT_MS });
  await shoot('session');
  await page.goto(`${input.url}/paths`);
  await page.getByTestId('paths').waitFor({ timeout: LIMIT_MS });
  await shoot('paths');
  await page.goto(`${input.url}/network`);
  await page.getByTestId('test-network').click();
  const verdict = page.getByTestId('verdict');
  await verdict.waitFor({ timeout: LIMIT_MS });
  const sentences = await verdict.innerText();
  for (const word of ['Pictures come through a relay', 'HTTPS', 'No STUN server answers over UDP', 'answers over TCP']) {
    checks.expect(sentences.includes(word), `the test of the network saying '${word}', it says: ${sentences}`);
  }
  await shoot('network');
}

/** Waits until the page has a path over that protocol, and says that it is live. */
async function found(page: Page, protocol: string): Promise<void> {
  const status = page.getByTestId('live-status');
  await status.filter({ hasText: 'Looking for another path' }).waitFor({ timeout: LIMIT_MS });
  await page.waitForFunction(async (wanted) => (await window.probe.received()).protocol === wanted, protocol, { timeout: LIMIT_MS });
  await status.filter({ hasText: 'Live' }).waitFor({ timeout: LIMIT_MS });
}

/** Waits until so many more pictures were shown. */
async function morePictures(page: Page): Promise<void> {
  const before = await page.evaluate(() => window.probe.pictures.length);
  await page.waitForFunction((count) => window.probe.pictures.length >= count, before + PICTURES, { timeout: LIMIT_MS });
}

/** The longest time that one picture stood. */
async function longestGap(page: Page): Promise<number> {
  const times = await page.evaluate(() => window.probe.pictures.map(({ at }) => at));
  return Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)));
}
