/** A browser behind a firewall that lets no UDP through: it watches over TCP (RFC 6544), without a TURN server. */

import { launch, loudness, open, rate } from './lib/dashboard';
import { ms } from './lib/statistics';
import { ask, script } from './lib/xtask';

const FRAMES = 150;
/** Of the 15 pictures a second that are sent. */
const FPS = 13;
/** Sound that a person hears: a tone has far more. */
const AUDIBLE = 0.01;
/** What a gap may be that nobody would call a freeze. */
const FREEZE_MS = 500;

await script(async (input, checks) => {
  const browser = await launch(input);
  const dashboard = await open(browser, input);
  const firstFrame = await dashboard.watch();
  await dashboard.unmute();
  await dashboard.page.evaluate(() => window.probe.pictures.splice(0));
  const before = await dashboard.received();
  const after = await dashboard.framesAfter(before, FRAMES, 30_000);
  const times = (await dashboard.pictures()).map(({ at }) => at);
  const gap = Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)));
  const figures = await ask('metrics');
  await dashboard.picture('over-tcp');
  await browser.close();

  const fps = rate(before, after);
  const sound = loudness(before, after);
  const connected = /^heron_tcp_connections ([1-9]\d*)$/m.test(figures);
  checks.expect(after.protocol === 'tcp', `a path over TCP, got ${after.protocol}`);
  checks.expect(!after.path.includes('relay'), `no TURN server in the path, got ${after.path}`);
  checks.expect(connected, "a TCP connection in the camera's metrics");
  checks.expect(fps >= FPS, `at least ${FPS} frames a second, got ${fps.toFixed(1)}`);
  checks.expect(gap < FREEZE_MS, `no freeze, one took ${ms(gap)}`);
  checks.expect(sound > AUDIBLE, `sound of a level above ${AUDIBLE}, got ${sound}`);
  return {
    heading: ['figure', 'measured', 'wanted'],
    figures: [
      ['path', `${after.protocol}, ${after.path}`, 'tcp'],
      ['click to first frame', ms(firstFrame), ''],
      ['frames a second', fps.toFixed(1), `${FPS}`],
      ['longest gap', ms(gap), `${FREEZE_MS} ms`],
      ['sound', `level ${sound.toFixed(3)}`, `level ${AUDIBLE}`],
    ],
    line:
      `tcp-only: ${fps.toFixed(1)} fps over ${after.protocol} (${after.path}) with UDP blocked, ` +
      `first frame ${ms(firstFrame)} after the click, longest gap ${ms(gap)}`,
  };
});
