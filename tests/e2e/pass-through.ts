/** A camera whose picture comes as AV1 from a child: Chromium shows it as it came, and no encoder runs. */

import { launch, open } from './lib/dashboard';
import { ask, script } from './lib/xtask';

const FPS = 15;
const SECONDS = 6;
/** The part of its frame rate that a viewer may lose to chance. */
const SLACK = 0.15;

await script(async (input, checks) => {
  const browser = await launch(input);
  const dashboard = await open(browser, input);
  await dashboard.watch();
  const fps = await dashboard.frameRate(SECONDS);
  const received = await dashboard.page.evaluate(() => window.probe.received());
  checks.expect(received.codec === 'video/AV1', `video/AV1, got ${received.codec}`);
  checks.expect(`${received.width}x${received.height}` === '320x180', `320x180, got ${received.width}x${received.height}`);
  checks.expect(fps >= FPS * (1 - SLACK), `${FPS} frames a second, got ${fps.toFixed(1)}`);
  const running = (await ask('metrics')).split('\n').filter((line) => /^heron_encoders_running(\{.*\})? [^0]/.test(line));
  checks.expect(running.length === 0, `no encoder, there is ${running.join(', ')}`);
  await dashboard.page.screenshot({ path: `${input.output}/pass-through.png` });
  checks.expect(dashboard.complaints.length === 0, `no errors on the page, got: ${dashboard.complaints.join('; ')}`);
  await browser.close();
  return { line: `pass-through: ${received.codec} at ${fps.toFixed(1)} fps` };
});
