/** The control plane, and its broker with it, is killed and comes back during a session: the picture goes on. */

import { launch, open } from './lib/dashboard';
import { ask, script } from './lib/xtask';

const DOWN_MS = 3000;
const PRESENT_WITHIN_MS = 5000;

interface Camera {
  online: boolean;
}

await script(async (input, checks) => {
  const browser = await launch(input);
  const dashboard = await open(browser, input);
  const { page } = dashboard;
  await dashboard.watch();
  const running = await dashboard.frameRate(3);

  await ask('kill-control');
  const whileDown = await dashboard.frameRate(DOWN_MS / 1000);
  await ask('start-control');
  const returned = Date.now();
  let presentAfter = Number.POSITIVE_INFINITY;
  while (presentAfter === Number.POSITIVE_INFINITY && Date.now() - returned < 4 * PRESENT_WITHIN_MS) {
    const answer = await page.request.get(`${input.url}/api/v1/cameras`).catch(() => undefined);
    const { cameras } = answer?.ok() ? ((await answer.json()) as { cameras: Camera[] }) : { cameras: [] };
    if (cameras[0]?.online) presentAfter = Date.now() - returned;
    else await page.waitForTimeout(50);
  }
  const afterwards = await dashboard.frameRate(3);
  const { connections } = await dashboard.received();

  // A new viewer finds everything as before.
  const newcomer = await open(browser, input);
  const firstFrame = await newcomer.watch();
  await browser.close();

  checks.expect(whileDown >= running * 0.9, `the picture going on, it fell from ${running.toFixed(1)} to ${whileDown.toFixed(1)} fps`);
  checks.expect(afterwards >= running * 0.9, `the picture going on afterwards, got ${afterwards.toFixed(1)} fps`);
  checks.expect(connections === 1, `the same connection throughout, there were ${connections}`);
  checks.expect(presentAfter <= PRESENT_WITHIN_MS, `the camera online within ${PRESENT_WITHIN_MS} ms, took ${presentAfter} ms`);
  return {
    heading: ['broker', 'frames a second'],
    figures: [
      ['running', running.toFixed(1)],
      ['killed', whileDown.toFixed(1)],
      ['back', afterwards.toFixed(1)],
    ],
    line: `broker-restart: ${whileDown.toFixed(1)} fps without a broker, online ${presentAfter} ms after its return, a new viewer's first frame in ${firstFrame.toFixed(0)} ms`,
  };
});
