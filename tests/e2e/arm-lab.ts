/** The emulated ARM camera, watched: pictures of the kernel's `vivid`, sound through its `snd-aloop`, over TURN. */

import { launch, loudness, open, rate } from './lib/dashboard';
import { ask, script } from './lib/xtask';

const FRAMES = 50;
const AUDIBLE = 0.01;
/** The bars that vivid draws, left to right, as bits of red, green, blue. */
const BARS = ['111', '110', '011', '010', '101', '100', '001', '000'];
/** Where in /sys a driver lets go of its device and takes it again: the plug, pulled and put back. */
const CAMERA = '/sys/bus/platform/drivers/vivid';
const MICROPHONE = '/sys/bus/platform/drivers/snd_aloop';

await script(async (input, checks) => {
  const browser = await launch(input);
  const dashboard = await open(browser, input);
  const firstFrame = await dashboard.watch(120_000);
  await dashboard.unmute();
  const before = await dashboard.received();
  const after = await dashboard.framesAfter(before, FRAMES, 60_000);
  const fps = rate(before, after);
  const bars = await dashboard.page.evaluate(() => window.probe.colours(8, 0.8));
  await dashboard.picture('live');

  await ask('guest', `echo vivid.0 > ${CAMERA}/unbind`);
  await dashboard.page.waitForTimeout(1000);
  const dark = await dashboard.received();
  await dashboard.page.waitForTimeout(2000);
  const unplugged = await dashboard.received();
  await ask('guest', `echo vivid.0 > ${CAMERA}/bind`);
  const replugged = await dashboard.framesAfter(unplugged, FRAMES / 2, 60_000);

  await ask('guest', `echo snd_aloop.0 > ${MICROPHONE}/unbind`);
  await dashboard.page.waitForTimeout(2000);
  await ask('guest', `echo snd_aloop.0 > ${MICROPHONE}/bind`);
  const heardAgain = await dashboard.audible(AUDIBLE, 60_000);
  await browser.close();

  const sound = loudness(before, after);
  const again = replugged.framesDecoded - unplugged.framesDecoded;
  checks.expect(after.framesDecoded >= FRAMES, `${FRAMES} frames decoded, got ${after.framesDecoded}`);
  checks.expect(bars.join() === BARS.join(), `vivid's colour bars in the picture, got ${bars.join()}`);
  checks.expect(sound > AUDIBLE, `sound of a level above ${AUDIBLE}, got ${sound}`);
  checks.expect(after.path.includes('relay'), `a path through TURN, got ${after.path}`);
  checks.expect(dark.framesDecoded === unplugged.framesDecoded, 'no pictures while the camera was unplugged');
  checks.expect(heardAgain, 'sound again after the microphone was unplugged and plugged in');
  checks.expect(again >= FRAMES / 2, `pictures again after the camera was unplugged and plugged in, got ${again}`);
  const size = `${after.width}x${after.height}`;
  return {
    heading: ['figure', 'measured', 'wanted'],
    figures: [
      ['frames decoded', `${after.framesDecoded}`, `${FRAMES}`],
      ['frames a second', fps.toFixed(1), ''],
      ['picture', `${after.codec.replace('video/', '')} ${size}`, ''],
      ["vivid's colour bars", bars.join() === BARS.join() ? 'all eight' : bars.join(' '), 'all eight'],
      ['sound', `${after.audioCodec.replace('audio/', '')}, level ${sound.toFixed(3)}`, `level ${AUDIBLE}`],
      ['path', after.path, 'relay'],
      ['frames after replugging', `${again}`, `${FRAMES / 2}`],
      ['sound after replugging', heardAgain ? 'yes' : 'no', 'yes'],
      ['click to first frame', `${firstFrame.toFixed(0)} ms`, ''],
    ],
    line:
      `arm-lab: ${after.framesDecoded} frames of ${size} from vivid at ${fps.toFixed(1)} fps, sound level ` +
      `${sound.toFixed(2)} from snd-aloop, path ${after.path}, both again after replugging`,
  };
});
