/**
 * The emulated ARM camera with its H.264 encoder (`tests/arm-lab/heron-h264enc`): what viewers ask for reaches the
 * driver, and what the driver does to the camera does not reach the viewers for long. The camera chooses its encoder
 * by itself: the driver's, and software while that one is down.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { type Dashboard, launch, open, rate } from './lib/dashboard';
import { installSampler } from './lib/sampler';
import { ask, script } from './lib/xtask';

const FRAMES = 50;
/** The bars that vivid draws, left to right, as bits of red, green, blue. */
const BARS = ['111', '110', '011', '010', '101', '100', '001', '000'];
const PARAMETERS = '/sys/module/heron_h264enc/parameters';
const HARDWARE = 'heron-h264enc';
const SOFTWARE = 'OpenH264';
/** Flagged buffers, queues that end in an error, an encoder that gives nothing any more; and what the camera says. */
const FAILURES: [string, RegExp][] = [
  ['error', /marks as damaged/],
  ['eio', /the driver reports an/],
  ['stall', /has given nothing/],
];

/** What the driver says of itself. */
const driver = async (name: string): Promise<string> => (await ask('guest', `cat ${PARAMETERS}/${name}`)).trim();
const count = async (name: string): Promise<number> => Number(await driver(name));

/** An encoder at work, by its driver. */
interface AtWork {
  size: string;
  bitrate: number;
  bitrateChanges: number;
  frames: number;
}

async function atWork(): Promise<AtWork[]> {
  const lines = (await driver('streaming')).split('\n');
  return lines.flatMap((line) => {
    const found = /^(\d+x\d+) bitrate=(\d+) bitrate_changes=(\d+) frames=(\d+) /.exec(line);
    const [size = '', ...numbers] = found?.slice(1) ?? [];
    const [bitrate = 0, bitrateChanges = 0, frames = 0] = numbers.map(Number);
    return size === '' ? [] : [{ size, bitrate, bitrateChanges, frames }];
  });
}

/** What the camera reports of its main rung, as the control plane has it. */
interface Reported {
  encoder?: string;
  last_error?: string;
}

const reported = (page: Page): Promise<Reported> =>
  page.evaluate(async () => {
    const answer = await fetch('/api/v1/cameras');
    const list = (await answer.json()) as { cameras: { state: { video?: { main?: Reported } } }[] };
    return list.cameras[0]?.state.video?.main ?? {};
  });

/** Asks until the answer will do, or time is up; returns the last answer. */
async function until<T>(limit: number, asked: () => Promise<T>, enough: (answer: T) => boolean): Promise<T> {
  const end = performance.now() + limit;
  for (;;) {
    const answer = await asked();
    if (enough(answer) || performance.now() > end) return answer;
    await sleep(100);
  }
}

/**
 * Has Chromium send a PLI (RFC 4585 section 6.3.1), as for a decoder in trouble; resolves with how many it sent until a
 * key frame was decoded, and how long that took.
 */
const keyFrameAfterPli = (page: Page): Promise<{ plis: number; ms: number }> =>
  page.evaluate(async () => {
    const receivers = window.sampler.peers.at(-1)?.getReceivers() ?? [];
    const receiver = receivers.find(({ track }) => track.kind === 'video');
    if (receiver === undefined) throw new Error('the page receives no picture');
    const counted = async (name: string): Promise<number> => {
      for (const stats of ((await receiver.getStats()) as unknown as Map<string, Record<string, unknown>>).values())
        if (stats['type'] === 'inbound-rtp') return Number(stats[name] ?? 0);
      return 0;
    };
    const code = `onrtctransform = ({ transformer }) => {
      transformer.readable.pipeTo(transformer.writable);
      onmessage = () => transformer.sendKeyFrameRequest();
      postMessage('ready');
    }`;
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    const ready = new Promise((done) => (worker.onmessage = done));
    receiver.transform = new RTCRtpScriptTransform(worker);
    await ready;
    const [plis, keys] = [await counted('pliCount'), await counted('keyFramesDecoded')];
    const begin = performance.now();
    worker.postMessage('ask');
    while ((await counted('keyFramesDecoded')) === keys && performance.now() - begin < 10_000)
      await new Promise((done) => setTimeout(done, 10));
    return { plis: (await counted('pliCount')) - plis, ms: performance.now() - begin };
  });

/** What came of making the driver fail. */
interface Recovery {
  /** What the camera said while it failed. */
  said: Reported;
  /** Pictures decoded while it failed. */
  meanwhile: number;
  /** What encoded in the end, and the pictures that the driver encoded again. */
  encoder: string | undefined;
  again: number;
  /** From the driver's mending until it encodes again, and the longest time without a new picture, in seconds. */
  back: number;
  pause: number;
}

/** Makes the driver fail until software has taken over, and mends it. */
async function failAndMend(dashboard: Dashboard, how: string, why: RegExp): Promise<Recovery> {
  const { page } = dashboard;
  const began = await page.evaluate(() => performance.now());
  await ask('guest', `echo ${how} > ${PARAMETERS}/fail`);
  const said = await until(30_000, () => reported(page), ({ encoder, last_error }) => encoder === SOFTWARE && why.test(last_error ?? ''));
  const before = await dashboard.received();
  const after = await dashboard.framesAfter(before, FRAMES / 5, 20_000);
  await ask('guest', `echo none > ${PARAMETERS}/fail`);
  const mended = performance.now();
  const frames = await count('frames');
  const again = await until(60_000, () => count('frames'), (now) => now >= frames + FRAMES / 5);
  const back = (performance.now() - mended) / 1000;
  const { encoder } = await until(5000, () => reported(page), (now) => now.encoder?.startsWith(HARDWARE) ?? false);
  const lasting = await dashboard.received();
  await dashboard.framesAfter(lasting, FRAMES / 5, 20_000);
  const shown = (await dashboard.pictures()).map(({ at }) => at).filter((at) => at > began);
  const pauses = shown.map((at, index) => at - (shown[index - 1] ?? began));
  return {
    said,
    meanwhile: after.framesDecoded - before.framesDecoded,
    encoder,
    again: again - frames,
    back,
    pause: Math.max(...pauses) / 1000,
  };
}

await script(async (input, checks) => {
  const browser = await launch(input);
  // The page's own policy allows no script of ours, such as the one that asks for a key frame.
  const first = await open(browser, input, { bypassCSP: true });
  await first.context.addInitScript(installSampler);
  const firstFrame = await first.watch(120_000);
  const begin = await first.received();
  const fresh = (await atWork())[0];
  const after = await first.framesAfter(begin, FRAMES, 60_000);
  const fps = rate(begin, after);
  const size = `${after.width}x${after.height}`;
  const bars = await first.page.evaluate(() => window.probe.colours(8, 0.8));
  await first.picture('hardware');
  const chosen = await until(10_000, () => reported(first.page), ({ encoder }) => encoder !== undefined);
  checks.expect(after.framesDecoded >= FRAMES, `${FRAMES} frames decoded, got ${after.framesDecoded}`);
  checks.expect(bars.join() === BARS.join(), `vivid's colour bars in the picture, got ${bars.join()}`);
  checks.expect(chosen.encoder?.startsWith(HARDWARE) ?? false, `the choice of ${HARDWARE}, got ${chosen.encoder}`);

  // What viewers' congestion feedback allows reaches an encoder that goes on encoding.
  const adapted = await until(60_000, async () => (await atWork())[0], (now) => (now?.bitrateChanges ?? 0) > 0);
  const changes = adapted?.bitrateChanges ?? 0;
  checks.expect(changes > 0, `the driver to be told another bitrate than ${fresh?.bitrate} while it encodes`);
  checks.expect(
    adapted?.size === fresh?.size && (adapted?.frames ?? 0) > (fresh?.frames ?? 0),
    'the same encoder before and after the change',
  );

  const before = { keys: await count('key_frames'), forced: await count('forced_keys') };
  const pli = await keyFrameAfterPli(first.page);
  const asked = { keys: await count('key_frames'), forced: await count('forced_keys') };
  checks.expect(pli.plis > 0 && pli.ms < 10_000, `a key frame after a PLI, got ${pli.plis} and ${pli.ms.toFixed(0)} ms`);
  checks.expect(asked.forced > before.forced, `the driver to be asked for a key frame, after ${before.forced} times`);
  checks.expect(asked.keys > before.keys, `the driver to make a key frame, after ${before.keys}`);

  const second = await open(browser, input);
  await second.watch(60_000);
  const both = await second.framesAfter(await second.received(), FRAMES / 5, 30_000);
  const forTwo = await atWork();
  const rungs = new Set(forTwo.map((encoder) => encoder.size)).size;
  checks.expect(both.framesDecoded >= FRAMES / 5, `pictures for a second viewer, got ${both.framesDecoded}`);
  checks.expect(forTwo.length === rungs, `one encoder a rung, got ${forTwo.map((encoder) => encoder.size).join(' ')}`);
  await second.context.close();

  const recovered: string[] = [];
  for (const [how, why] of FAILURES) {
    const { said, meanwhile, encoder, again, back, pause } = await failAndMend(first, how, why);
    const failure = `the encoder's \`fail=${how}\``;
    checks.expect(why.test(said.last_error ?? ''), `the reason of ${failure} in the state, got ${said.last_error}`);
    checks.expect(said.encoder === SOFTWARE, `software in the place of ${failure}, got ${said.encoder}`);
    checks.expect(meanwhile >= FRAMES / 5, `pictures during ${failure}, got ${meanwhile}`);
    checks.expect(again >= FRAMES / 5, `the driver to encode again after ${failure}, got ${again} pictures`);
    checks.expect(encoder?.startsWith(HARDWARE) ?? false, `hardware again after ${failure}, got ${encoder}`);
    console.log(`fail=${how}: ${said.last_error}; hardware again after ${back.toFixed(1)} s, longest pause ${pause.toFixed(1)} s`);
    recovered.push(`${how} ${back.toFixed(1)} s (pause ${pause.toFixed(1)} s)`);
  }

  await first.context.close();
  const left = performance.now();
  const idle = await until(60_000, atWork, (encoders) => encoders.length === 0);
  const idleAfter = (performance.now() - left) / 1000;
  checks.expect(idle.length === 0, `no encoder at work without a viewer, got ${idle.length}`);
  await browser.close();

  const bitrates = `${fresh?.bitrate} to ${adapted?.bitrate} in ${changes} live changes`;
  const keys = `${before.keys} to ${asked.keys} (${before.forced} to ${asked.forced} forced), ${pli.ms.toFixed(0)} ms after the PLI`;
  return {
    heading: ['figure', 'measured', 'wanted'],
    figures: [
      ['encoder', chosen.encoder ?? 'unknown', HARDWARE],
      ['frames decoded', `${after.framesDecoded}`, `${FRAMES}`],
      ['frames a second', fps.toFixed(1), ''],
      ['picture', `${after.codec.replace('video/', '')} ${size}`, ''],
      ["vivid's colour bars", bars.join() === BARS.join() ? 'all eight' : bars.join(' '), 'all eight'],
      ['bitrate in the driver', bitrates, 'a live change'],
      ['key frames', keys, 'more'],
      ['encoders for two viewers', forTwo.map((encoder) => encoder.size).join(', '), 'one a rung'],
      ['hardware again after', recovered.join(', '), '60 s'],
      ['no encoder after the last viewer', `${idleAfter.toFixed(1)} s`, '60 s'],
      ['click to first frame', `${firstFrame.toFixed(0)} ms`, ''],
    ],
    line:
      `arm-lab-encoder: ${after.framesDecoded} frames of ${size} from vivid through V4L2 M2M at ${fps.toFixed(1)} fps, ` +
      `bitrate ${bitrates}, key frames ${keys}, hardware again after ${recovered.join(', ')}`,
  };
});
