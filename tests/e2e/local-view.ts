/** Chromium on the camera's own page: it plays the picture with its sound for whoever has the token, and nobody else. */

import { chromium } from 'playwright-core';
import { FLAGS } from './lib/dashboard';
import { installProbe, type Received } from './lib/probe';
import { ask, script } from './lib/xtask';

const LIMIT_MS = 15_000;

await script(async (input, checks) => {
  const address = input.localView ?? '';
  const browser = await chromium.launch({ executablePath: input.chromium, headless: true, args: FLAGS });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  // Functions reach the page as text; this is what the TypeScript loader adds to them.
  await page.addInitScript('globalThis.__name = (value) => value');
  await page.addInitScript(installProbe);

  await page.goto(address);
  const token = page.getByPlaceholder('Token');
  await token.fill('not the token at all');
  await page.getByRole('button', { name: 'Watch' }).click();
  const status = page.getByRole('status');
  await status.filter({ hasText: /^401: .*token/ }).waitFor({ timeout: LIMIT_MS });
  await page.screenshot({ path: `${input.output}/local-view-refused.png` });

  await token.fill(input.token ?? '');
  await page.getByRole('button', { name: 'Watch' }).click();
  await page.waitForFunction(() => window.probe.pictures.length > 30, undefined, { timeout: LIMIT_MS });
  const received: Received = await page.evaluate(() => window.probe.received());
  checks.expect(received.framesDecoded > 30, `pictures decoded, got ${received.framesDecoded}`);
  checks.expect(received.audioPackets > 10, `sound, got ${received.audioPackets} packets`);
  checks.expect((await status.innerText()) === '', `nothing to complain about, it says: ${await status.innerText()}`);
  const ages = await page.evaluate(() => window.probe.pictures.flatMap(({ age }) => (age === null ? [] : [age])));
  ages.sort((one, other) => one - other);
  const age = ages[Math.floor(ages.length / 2)] ?? Number.NaN;
  checks.expect(age > 0 && age < 2000, `pictures of this moment, they are ${age} ms old`);
  await page.screenshot({ path: `${input.output}/local-view.png` });

  // Whoever leaves is gone.
  await page.goto('about:blank');
  await ask('idle');

  // A link with the token in it needs no form.
  await page.goto(`${address}#${input.token}`);
  await page.waitForFunction(() => window.probe.pictures.length > 5, undefined, { timeout: LIMIT_MS });
  const still = await page.evaluate(async (token) => {
    const answer = await fetch('snapshot.jpg', { headers: { authorization: `Bearer ${token}` } });
    const { width, height } = await createImageBitmap(await answer.blob());
    return `${width}x${height}`;
  }, input.token);
  checks.expect(still === '320x180', `a still picture of 320x180, got ${still}`);
  checks.expect(complaints.length === 0, `no errors on the page, got: ${complaints.join('; ')}`);
  await browser.close();
  await ask('idle');
  return { line: `local-view: ${received.framesDecoded} pictures decoded, ${received.codec} and ${received.audioCodec}, ${age.toFixed(0)} ms old when shown` };
});
