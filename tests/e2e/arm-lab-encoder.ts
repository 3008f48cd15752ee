/**
 * The emulated ARM camera with its H.264 encoder (`tests/arm-lab/heron-h264enc`): what viewers ask for reaches the
 * driver, and what the driver does to the camera does not reach the viewers for long.
 */

import { type Dashboard, launch, open, rate } from './lib/dashboard';
import { ask, script } from './lib/xtask';

const FRAMES = 50;
/** The bars that vivid draws, left to right, as bits of red, green, blue. */
const BARS = ['111', '110', '011', '010', '101', '100', '001', '000'];
const PARAMETERS = '/sys/module/heron_h264enc/parameters';
/** Flagged buffers, queues that end in an error, and an encoder that gives nothing any more. */
const FAILURES = ['error', 'eio', 'stall'];

/** What the driver says of itself. */
const driver = async (name: string): Promise<string> => (await ask('guest', `cat ${PARAMETERS}/${name}`)).trim();
const keyFrames = async (): Promise<number> => Number(await driver('key_frames'));
/** `WIDTHxHEIGHT bitrate=... frames=... key_frames=...` of each encoder at work. */
const atWork = async (): Promise<string[]> => (await driver('streaming')).split('\n').filter((line) => line !== '');

/** Asks until the answer will do, or time is up; returns the last answer. */
async function until<T>(page: Dashboard, limit: number, asked: () => Promise<T>, enough: (answer: T) => boolean): Promise<T> {
  const end = Date.now() + limit;
  for (;;) {
    const answer = await asked();
    if (enough(answer) || Date.now() > end) return answer;
    await page.page.waitForTimeout(200);
  }
}

await script(async (input, checks) => {
  const browser = await launch(input);
  const first = await open(browser, input);
  const firstFrame = await first.watch(120_000);
  const begin = await first.received();
  const bitrate = Number(await driver('bitrate'));
  const after = await first.framesAfter(begin, FRAMES, 60_000);
  const fps = rate(begin, after);
  const bars = await first.page.evaluate(() => window.probe.colours(8, 0.8));
  await first.picture('hardware');
  const encoders = await atWork();
  const bitrateLater = await until(first, 60_000, async () => Number(await driver('bitrate')), (now) => now !== bitrate);

  // A second viewer cannot begin without a key frame, and its page says so by PLI.
  const keysBefore = await keyFrames();
  const second = await open(browser, input);
  await second.watch(60_000);
  const keysAfter = await until(first, 10_000, keyFrames, (now) => now > keysBefore);
  const encodersForTwo = await atWork();
  await second.context.close();

  const recovered: string[] = [];
  for (const failure of FAILURES) {
    await ask('guest', `echo ${failure} > ${PARAMETERS}/fail`);
    await first.page.waitForTimeout(3000);
    const dark = await first.received();
    await ask('guest', `echo none > ${PARAMETERS}/fail`);
    const light = await first.framesAfter(dark, FRAMES / 2, 60_000);
    const frames = light.framesDecoded - dark.framesDecoded;
    checks.expect(frames >= FRAMES / 2, `pictures again after the encoder's \`fail=${failure}\`, got ${frames}`);
    recovered.push(`${failure}: ${((light.at - dark.at) / 1000).toFixed(1)} s`);
  }

  const elsewhere = await open(browser, input);
  await first.context.close();
  const idle = await until(elsewhere, 60_000, atWork, (lines) => lines.length === 0);
  await browser.close();

  const size = `${after.width}x${after.height}`;
  checks.expect(after.framesDecoded >= FRAMES, `${FRAMES} frames decoded, got ${after.framesDecoded}`);
  checks.expect(bars.join() === BARS.join(), `vivid's colour bars in the picture, got ${bars.join()}`);
  checks.expect(encoders.some((line) => line.startsWith(`${size} `)), `an encoder of ${size}, got ${encoders.join('; ')}`);
  checks.expect(bitrateLater !== bitrate, `the driver to see another bitrate than ${bitrate}`);
  checks.expect(keysAfter > keysBefore, `a key frame for the second viewer, after ${keysBefore}`);
  checks.expect(encodersForTwo.length <= 2, `at most an encoder a rung, got ${encodersForTwo.join('; ')}`);
  checks.expect(idle.length === 0, `no encoder at work without a viewer, got ${idle.join('; ')}`);
  return {
    heading: ['figure', 'measured', 'wanted'],
    figures: [
      ['frames decoded', `${after.framesDecoded}`, `${FRAMES}`],
      ['frames a second', fps.toFixed(1), ''],
      ['picture', `${after.codec.replace('video/', '')} ${size}`, ''],
      ["vivid's colour bars", bars.join() === BARS.join() ? 'all eight' : bars.join(' '), 'all eight'],
      ['encoders at work', encodersForTwo.join('; '), 'one a rung'],
      ['without a viewer', `${idle.length}`, '0'],
      ['bitrate in the driver', `${bitrate}, then ${bitrateLater}`, 'changed'],
      ['key frames', `${keysBefore}, for a second viewer ${keysAfter}`, 'more'],
      ['pictures again after', recovered.join(', '), '60 s'],
      ['click to first frame', `${firstFrame.toFixed(0)} ms`, ''],
    ],
    line:
      `arm-lab-encoder: ${after.framesDecoded} frames of ${size} from vivid through V4L2 M2M at ${fps.toFixed(1)} fps, ` +
      `bitrate ${bitrate} to ${bitrateLater}, key frames ${keysBefore} to ${keysAfter}, up again after ${FAILURES.join(', ')}`,
  };
});
