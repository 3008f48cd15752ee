/**
 * A camera that is watched through TURN is revoked, by the command line on the control plane's own machine: within seconds
 * the relay carries nothing any more, the broker has let the camera go, and the page says why.
 */

import { launch, open } from './lib/dashboard';
import { ask, script } from './lib/xtask';

const LIMIT_MS = 5000;
const PAUSE_MS = 50;

async function figure(name: string): Promise<number> {
  const line = (await ask('control-metrics')).split('\n').find((line) => line.startsWith(`${name} `));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

await script(async (input, checks) => {
  const browser = await launch(input);
  const dashboard = await open(browser, input);
  const { page } = dashboard;
  await dashboard.watch();
  const { path } = await page.evaluate(() => window.probe.received());
  checks.expect(path.includes('relay'), `a path through TURN, got ${path}`);
  checks.expect((await figure('heron_turn_allocations')) > 0, 'allocations at the TURN server');
  checks.expect((await figure('heron_broker_cameras')) === 1, 'the camera at the broker');

  const begin = performance.now();
  await ask('revoke');
  const gone: Record<string, number> = {};
  const wanted = ['heron_turn_allocations', 'heron_broker_cameras'];
  while (Object.keys(gone).length < wanted.length && performance.now() - begin < LIMIT_MS) {
    for (const name of wanted) {
      if (gone[name] === undefined && (await figure(name)) === 0) gone[name] = performance.now() - begin;
    }
    await page.waitForTimeout(PAUSE_MS);
  }
  for (const name of wanted) {
    checks.expect(gone[name] !== undefined, `${name} at 0 within ${LIMIT_MS} ms of the revocation, it is ${await figure(name)}`);
  }
  await page.getByText('revoked', { exact: false }).first().waitFor({ timeout: LIMIT_MS });
  await browser.close();
  const ms = (name: string) => `${(gone[name] ?? Number.NaN).toFixed(0)} ms`;
  return {
    line: `revocation: TURN carries nothing after ${ms('heron_turn_allocations')}, the broker has no camera after ${ms('heron_broker_cameras')}`,
  };
});
