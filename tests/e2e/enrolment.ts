/**
 * A camera that belongs to nobody: somebody confirms the code it shows and follows it to its first picture; then it is
 * revoked while it is watched, and is out. Pictures of all pages on the way, also as narrow as a phone, go to the output folder.
 */

import { chromium, type Page } from 'playwright-core';
import { Dashboard, FLAGS, launch, open } from './lib/dashboard';
import { ask, type Checks, type Input, script } from './lib/xtask';

const NAME = 'Stable door';
const PHONE = { width: 400, height: 820 };
const DESK = { width: 1280, height: 800 };
const LIMIT_MS = 30_000;

await script(async (input, checks) => {
  const code = await ask('pairing-code');
  const key = await ownPage(input, code, checks);

  // As the QR code leads there: nobody is signed in yet.
  const browser = await launch(input);
  const dashboard = await open(browser, input, { viewport: DESK });
  const { page } = dashboard;
  const shoot = shooting(dashboard, checks);
  await page.goto(`${input.url}/pair/${code.toLowerCase()}`);
  await page.getByTestId('sign-in-name').fill(input.name);
  await page.getByTestId('sign-in-password').fill(input.password);
  await page.getByTestId('sign-in-submit').click();

  const shown = await page.getByTestId('pairing-shown').innerText();
  checks.expect(shown === code, `the code ${code} on the page, it shows ${shown}`);
  const facts = await page.locator('.facts').innerText();
  checks.expect(facts.includes('E2E-0001'), `the camera's serial number, the page says: ${facts}`);
  const fingerprint = (await page.locator('.fingerprint').innerText()).replaceAll(/\s/g, '');
  checks.expect(key !== '' && fingerprint.startsWith(key), `the key ${key} that the camera shows, the page has ${fingerprint}`);
  await shoot('pair');
  await page.getByTestId('pairing-name').fill(NAME);
  await page.getByTestId('pairing-confirm').click();
  await page.getByTestId('arrival').waitFor();
  await shoot('arrival');
  for (const step of ['confirmed', 'issued', 'online', 'shown']) {
    await page.locator(`[data-testid="step-${step}"][data-state="done"]`).waitFor({ timeout: LIMIT_MS });
  }
  const took = await page.evaluate(() => (window.probe.pictures[0]?.at ?? Number.NaN) - window.probe.clicked);
  // The picture is running.
  await page.waitForFunction(() => window.probe.pictures.length > 10, undefined, { timeout: LIMIT_MS });
  await shoot('arrived');

  await page.getByTestId('arrival-open').click();
  await page.locator('[data-testid="trust-badge"][data-trust="verified"]').waitFor({ timeout: LIMIT_MS });

  // Somebody else, or the same person in another tab, puts it out.
  const admin = new Dashboard(await dashboard.context.newPage(), dashboard.context, input);
  const shootAdmin = shooting(admin, checks);
  const id = new URL(page.url()).pathname.split('/').at(-1) ?? '';
  await admin.page.goto(`${input.url}/cameras/${id}/identity`);
  const state = (word: string) => admin.page.locator(`[data-testid="identity-state"][data-state="${word}"]`).waitFor({ timeout: LIMIT_MS });
  await state('active');
  const certificate = admin.page.getByTestId('certificates').locator('li').first();
  checks.expect((await certificate.getAttribute('data-state')) === 'active', 'the certificate in use');
  const history = await admin.page.getByTestId('connections').innerText();
  checks.expect(history.includes('Connected'), `the connection in its history, which says: ${history}`);
  await shootAdmin('identity');

  // Quarantined, it is out until it is released.
  await admin.page.getByTestId('quarantine').click();
  await admin.page.getByTestId('put-out-reason').fill('looks odd');
  await admin.page.getByTestId('put-out-submit').click();
  await state('quarantined');
  await keptOut(page);
  const why = await admin.page.getByTestId('identity-reason').innerText();
  checks.expect(why.includes('Looks odd'), `why it is quarantined, the page says: ${why}`);
  await shootAdmin('quarantined');
  await admin.page.getByTestId('release').click();
  await state('active');
  await page.getByTestId('live-status').filter({ hasText: 'Live' }).waitFor({ timeout: 2 * LIMIT_MS });

  await admin.page.getByTestId('revoke').click();
  await admin.page.getByTestId('put-out-reason').fill('stolen');
  await admin.page.getByTestId('put-out-name').fill('another door');
  checks.expect(await admin.page.getByTestId('put-out-submit').isDisabled(), 'no revocation without the right name');
  await admin.page.getByTestId('put-out-name').fill(NAME);
  await shootAdmin('revoke');
  const before = await ask('refusals');
  const asked = performance.now();
  await admin.page.getByTestId('put-out-submit').click();
  await state('revoked');
  await keptOut(page);
  const out = performance.now() - asked;
  await shoot('revoked-live');
  await ask('refused', before);
  await shootAdmin('revoked');
  await admin.page.goto(input.url);
  await admin.page.locator(`[data-testid="camera-online"][data-standing="revoked"]`).waitFor();
  await shootAdmin('revoked-card');

  await admin.page.getByTestId('add-camera').click();
  await shootAdmin('add-code');
  await admin.page.getByTestId('add-by-claim').click();
  await admin.page.getByTestId('claim-name').fill('Meadow');
  await admin.page.getByTestId('claim-uses').fill('3');
  await shootAdmin('add-claim');
  const download = admin.page.waitForEvent('download');
  await admin.page.getByTestId('claim-submit').click();
  const file = (await download).suggestedFilename();
  checks.expect(file === 'heron-claim.toml', `the claim file by its name, got ${file}`);
  await shootAdmin('add-claim-made');

  await page.goto(`${input.url}/pair/0000-0000`);
  await page.getByTestId('pairing-code').waitFor();
  await shoot('pair-unknown');
  const complaints = [...dashboard.complaints, ...admin.complaints].filter((text) => !text.includes('status of 404'));
  checks.expect(complaints.length === 0, `pages without errors, got: ${complaints.join('; ')}`);
  await browser.close();
  return {
    line: `enrolment: first picture ${took.toFixed(0)} ms after the confirmation; revoked, it was off the screen after ${out.toFixed(0)} ms, and its connection is refused`,
  };
});

/** The live page shows no picture, and says why. */
async function keptOut(page: Page): Promise<void> {
  await page.getByTestId('live-status').filter({ hasText: /quarantined|revoked/ }).waitFor({ timeout: LIMIT_MS });
}

/** What the camera itself shows to whoever has its token; resolves with the beginning of its key's fingerprint. */
async function ownPage(input: Input, code: string, checks: Checks): Promise<string> {
  const browser = await chromium.launch({ executablePath: input.chromium, headless: true, args: FLAGS });
  const page = await browser.newPage({ viewport: PHONE });
  await page.goto(`${input.localView}#${input.token}`);
  const output = page.getByLabel('Pairing code');
  await output.filter({ hasText: /./ }).waitFor({ timeout: LIMIT_MS });
  const said = await output.innerText();
  checks.expect(said === code, `the code ${code} on the camera's own page, it shows ${said}`);
  await page.screenshot({ path: `${input.output}/camera-pairing.png` });
  const key = await page.locator('code').innerText();
  await browser.close();
  return key;
}

/** Pictures of a page at a desk and on a phone, where it must fit as well. */
function shooting(dashboard: Dashboard, checks: Checks): (name: string) => Promise<void> {
  const { page } = dashboard;
  return async (name) => {
    for (const [look, size] of Object.entries({ desk: DESK, phone: PHONE })) {
      await page.setViewportSize(size);
      await dashboard.picture(`${look}-${name}`);
      const spill = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      checks.expect(spill <= 0, `${name} fitting a ${look}'s screen, it is ${spill} px too wide`);
    }
    await page.setViewportSize(DESK);
  };
}
