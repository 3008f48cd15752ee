/**
 * Someone in the middle, who can read and change every message between the page and the broker, gets no picture to
 * the page: the dashboard says so and why.
 */

import type { WebSocketRoute } from 'playwright-core';
import { launch, open } from './lib/dashboard';
import { script } from './lib/xtask';

/** Changes a message in place; its length stays, so that MQTT's framing holds. */
type Change = (message: string) => string;

interface Attack {
  name: string;
  up?: Change;
  down?: Change;
  /** What the page must say. */
  said: RegExp;
}

/** The last digit of the fingerprint, another one; everywhere, as one certificate serves all media. */
const otherFingerprint: Change = (message) =>
  message.replace(/(a=fingerprint:sha-256 (?:[0-9A-F]{2}:){31}[0-9A-F])([0-9A-F])/gi, (_, head: string, last: string) =>
    head + (last === '0' ? '1' : '0'),
  );

/** A character in the middle of the proof's signature, another one. */
const otherSignature: Change = (message) =>
  message.replace(/("proof":"[\w-]+\.[\w-]+\.[\w-]{20})([\w-])/, (_, head: string, next: string) =>
    head + (next === 'A' ? 'B' : 'A'),
  );

/** The session that the proof speaks of is another: the proof of an earlier session, say. */
const otherSession: Change = (message) =>
  message.replace(/("session":"[0-9a-f]{31})([0-9a-f])/, (_, head: string, last: string) =>
    head + (last === '0' ? '1' : '0'),
  );

const ATTACKS: Attack[] = [
  { name: "the answer's fingerprint changed", down: otherFingerprint, said: /not the one the camera signed/i },
  { name: "the offer's fingerprint changed", up: otherFingerprint, said: /changed on the way/i },
  { name: 'the proof changed', down: otherSignature, said: /not signed with this camera/i },
  { name: 'a proof for another session', down: otherSession, said: /another session/i },
];

/** Passes messages on through a change, byte for byte. */
function sitInTheMiddle(page: WebSocketRoute, attack: Attack): void {
  const server = page.connectToServer();
  const through = (message: string | Buffer, change: Change | undefined): Buffer => {
    const bytes = typeof message === 'string' ? Buffer.from(message) : message;
    return change === undefined ? bytes : Buffer.from(change(bytes.toString('latin1')), 'latin1');
  };
  page.onMessage((message) => server.send(through(message, attack.up)));
  server.onMessage((message) => page.send(through(message, attack.down)));
}

await script(async (input, checks) => {
  const browser = await launch(input);
  const figures: string[][] = [];
  for (const attack of ATTACKS) {
    const dashboard = await open(browser, input);
    const { page } = dashboard;
    await page.routeWebSocket(/\/mqtt/, (socket) => sitInTheMiddle(socket, attack));
    await dashboard.signIn();
    await dashboard.cameraOnline();
    await dashboard.clickCamera();
    const status = page.getByRole('status').filter({ hasText: attack.said });
    const seen = await status.first().waitFor({ timeout: 15_000 }).then(() => true, () => false);
    const said = await dashboard.status();
    // Long enough for a picture to come, if one were to.
    await page.waitForTimeout(1000);
    const { framesDecoded } = await dashboard.received();
    const shown = (await dashboard.pictures()).length;
    const trust = await page.getByTestId('trust-badge').getAttribute('data-trust', { timeout: 1000 }).catch(() => null);
    checks.expect(seen, `${attack.name}: the page saying ${attack.said}, it says: ${said}`);
    checks.expect(framesDecoded + shown === 0, `${attack.name}: no picture, got ${framesDecoded} frames`);
    checks.expect(trust === 'refused', `${attack.name}: marked as not trusted, it is marked ${trust}`);
    await dashboard.picture(attack.name.replaceAll(/[^a-z]+/g, '-'));
    figures.push([attack.name, `${framesDecoded}`, said]);
    await dashboard.context.close();
  }
  // Passed on unchanged, the same way works.
  const dashboard = await open(browser, input);
  await dashboard.page.routeWebSocket(/\/mqtt/, (socket) => sitInTheMiddle(socket, { name: 'none', said: /./ }));
  await dashboard.watch();
  await browser.close();
  return {
    heading: ['attack', 'frames', 'the page says'],
    figures,
    line: `untrusted: ${ATTACKS.length} attacks between page and broker, none got a picture through`,
  };
});
