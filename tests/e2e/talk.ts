/**
 * A person in a browser talks to the people at the camera, and is heard there: a tone goes into Chromium's microphone and
 * comes out of the camera's loudspeaker. Meanwhile nobody else can talk, and afterwards they can.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { type Dashboard, launch, open } from './lib/dashboard';
import { bursts, loudest, RATE } from './lib/tone';
import { type Input, script } from './lib/xtask';

const LIMIT_MS = 15_000;
/** Of a full scale of 32768: the tone goes in with an RMS of 8500, and the browser sets the level to its liking. */
const LOUD = 500;
/** The part of the sound that must be the tone. */
const PURE = 0.8;

/** What the loudspeaker has played lately. */
function played(file: string): Int16Array {
  let bytes = Buffer.alloc(0);
  try {
    bytes = readFileSync(file);
  } catch {
    // Not opened yet.
  }
  const samples = new Int16Array(Math.floor(bytes.length / 2));
  for (let at = 0; at < samples.length; at += 1) samples[at] = bytes.readInt16LE(2 * at);
  return samples.slice(-3 * RATE);
}

/** A browser with a microphone that hears the tone, on a page that shows the camera. */
async function person(input: Input, microphone: string): Promise<Dashboard> {
  const browser = await launch(input, [
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    `--use-file-for-fake-audio-capture=${microphone}`,
  ]);
  const dashboard = await open(browser, input);
  await dashboard.watch();
  await dashboard.page.getByTestId('talk').waitFor();
  return dashboard;
}

const press = ({ page }: Dashboard) => page.getByTestId('talk').click();
const state = ({ page }: Dashboard) => page.getByTestId('talk').getAttribute('data-state');
const note = ({ page }: Dashboard) => page.getByTestId('talk-note').innerText();

/** Presses until the camera lets this person talk: whoever talked before may not have left yet. */
async function talks(dashboard: Dashboard): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  do {
    if ((await state(dashboard)) === 'off') await press(dashboard);
    await dashboard.page.waitForTimeout(200);
    if ((await state(dashboard)) === 'live') return;
  } while (performance.now() < end);
  throw new Error(`the camera does not listen: ${await note(dashboard)}`);
}

/** Waits until the loudspeaker plays the tone; returns what it played loudest. */
async function heard(dashboard: Dashboard, file: string): Promise<{ rms: number; tone: number }> {
  const end = performance.now() + LIMIT_MS;
  for (;;) {
    const sound = loudest(played(file));
    if ((sound.rms > LOUD && sound.tone > PURE) || performance.now() > end) return sound;
    await dashboard.page.waitForTimeout(200);
  }
}

await script(async (input, checks) => {
  const file = input.loudspeaker ?? '';
  const microphone = `${input.output}/microphone.wav`;
  writeFileSync(microphone, bursts(10));
  const ada = await person(input, microphone);
  const bob = await person(input, microphone);
  checks.expect(played(file).length === 0, 'silence at the camera before somebody talks');

  await press(ada);
  await ada.page.locator('[data-testid="talk"][data-state="live"]').waitFor({ timeout: LIMIT_MS });
  const first = await heard(ada, file);
  const sounds = ({ rms, tone }: typeof first) => `RMS ${rms.toFixed(0)}, ${(100 * tone).toFixed(0)} % of it the tone`;
  const good = ({ rms, tone }: typeof first) => rms > LOUD && tone > PURE;
  checks.expect(good(first), `the tone at the camera's loudspeaker, it played ${sounds(first)}`);
  await ada.picture('talking');

  await press(bob);
  await bob.page.getByText('Somebody else is talking.').waitFor({ timeout: LIMIT_MS });
  checks.expect((await state(bob)) === 'off', `the second one not on air, is ${await state(bob)}`);
  checks.expect((await state(ada)) === 'live', 'the first one still on air');
  await bob.picture('busy');

  await press(ada);
  await talks(bob);
  const second = await heard(bob, file);
  checks.expect(good(second), `the second one heard after the first, it played ${sounds(second)}`);

  // A browser that is gone without a word.
  await bob.context.browser()?.close();
  await talks(ada);
  const third = await heard(ada, file);
  checks.expect(good(third), `the first one heard again after the second has gone, it played ${sounds(third)}`);
  for (const dashboard of [ada, bob]) {
    checks.expect(dashboard.complaints.length === 0, `no errors on the page, got: ${dashboard.complaints.join('; ')}`);
  }
  await ada.context.browser()?.close();
  return { line: `talk: heard at the camera with ${sounds(first)}; the second one is told to wait, and heard afterwards` };
});
