/** Signing in: a wrong password is said so, the right one leads to the cameras. By keyboard. */

import { launch, open } from './lib/dashboard';
import { script } from './lib/xtask';

await script(async (input, checks) => {
  const browser = await launch(input);
  const dashboard = await open(browser, input);
  const { page } = dashboard;
  await dashboard.signIn(`${input.password}-wrong`);
  const alert = page.getByTestId('sign-in-trouble');
  await alert.waitFor();
  const said = await alert.innerText();
  checks.expect(/password/i.test(said), `an error that speaks of the password, got: ${said}`);
  checks.expect((await dashboard.card().count()) === 0, 'no camera before signing in');

  await page.getByTestId('sign-in-password').fill(input.password);
  await page.keyboard.press('Enter');
  await dashboard.cameraOnline();

  // The cookie is all there is: without it the API knows nobody.
  const asked = await page.request.get(`${input.url}/api/v1/cameras`, { headers: { cookie: '' } });
  checks.expect(asked.status() === 401, `the API refusing strangers, got status ${asked.status()}`);

  await dashboard.card().focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => window.probe.pictures.length > 0);
  await browser.close();
  return { line: `sign-in: refused a wrong password ("${said}"), then from the keyboard to a live picture` };
});
