/** The demo, watched: what must come through, how much of it, and how late. */

import { launch, loudness, open, rate } from './lib/dashboard';
import { median, ms, percentile } from './lib/statistics';
import { script } from './lib/xtask';

const FRAMES = 300;
const FPS = 25;
/** Sound that a person hears: a tone has far more. */
const AUDIBLE = 0.01;

await script(async (input, checks) => {
  const browser = await launch(input);
  const dashboard = await open(browser, input, { viewport: { width: 1440, height: 900 } });
  const firstFrame = await dashboard.watch();
  await dashboard.unmute();

  const before = await dashboard.received();
  const after = await dashboard.framesAfter(before, FRAMES, 25_000);
  const fps = rate(before, after);
  const shown = (await dashboard.pictures()).flatMap(({ age }) => (age === null ? [] : [age]));
  await dashboard.picture('live');
  const decoded = await dashboard.page.evaluate(() => window.probe.decodedAges(150));
  const sound = loudness(before, after);
  await browser.close();

  const frames = after.framesDecoded;
  const size = `${after.width}x${after.height}`;
  const latency = (ages: number[]) => `${ms(median(ages))} / ${ms(percentile(ages, 0.95))}`;
  checks.expect(frames - before.framesDecoded >= FRAMES, `${FRAMES} frames decoded, got ${frames}`);
  checks.expect(fps >= FPS, `at least ${FPS} frames a second, got ${fps.toFixed(1)}`);
  checks.expect(size === '1280x720', `a picture of 1280x720, got ${size}`);
  checks.expect(after.codec === 'video/H264', `H.264, got ${after.codec}`);
  checks.expect(after.audioCodec === 'audio/opus', `Opus, got ${after.audioCodec}`);
  checks.expect(sound > AUDIBLE, `sound of a level above ${AUDIBLE}, got ${sound}`);
  checks.expect(shown.length > FRAMES / 2, `the clock readable in most pictures, got ${shown.length}`);

  return {
    heading: ['figure', 'measured', 'wanted'],
    figures: [
      ['frames decoded', `${frames}`, `${FRAMES}`],
      ['frames a second', fps.toFixed(1), `${FPS}`],
      ['picture', `${after.codec.replace('video/', '')} ${size}`, 'H264 1280x720'],
      ['sound', `${after.audioCodec.replace('audio/', '')}, level ${sound.toFixed(3)}`, `level ${AUDIBLE}`],
      ['path', after.path, ''],
      ['click to first frame', ms(firstFrame), ''],
      ['capture to decoded, p50 / p95', latency(decoded), ''],
      ['capture to shown, p50 / p95', latency(shown), ''],
    ],
    line:
      `demo: ${frames} frames of ${size} ${after.codec.replace('video/', '')} at ${fps.toFixed(1)} fps, ` +
      `sound level ${sound.toFixed(2)}, first frame ${ms(firstFrame)} after the click, ` +
      `capture to shown ${ms(median(shown))} (p95 ${ms(percentile(shown, 0.95))})`,
  };
});
