/** The pages as people see them: light, dark, on a phone. Pictures of all go to the output folder. */

import { type BrowserContextOptions, devices } from 'playwright-core';
import { launch, open } from './lib/dashboard';
import { script } from './lib/xtask';

const LOOKS: Record<string, BrowserContextOptions> = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  phone: { ...devices['Pixel 7'], colorScheme: 'light' },
};

await script(async (input, checks) => {
  const browser = await launch(input);
  for (const [look, options] of Object.entries(LOOKS)) {
    const dashboard = await open(browser, input, options);
    const { page } = dashboard;
    await page.goto(input.url);
    await page.getByTestId('sign-in-name').waitFor();
    const shoot = async (name: string) => {
      await dashboard.picture(`${look}-${name}`);
      const spill = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      checks.expect(spill <= 0, `${look} ${name} fitting its screen, it is ${spill} px too wide`);
    };
    await shoot('sign-in');
    await dashboard.signIn();
    await dashboard.cameraOnline();
    await shoot('cameras');
    await dashboard.start();
    await page.waitForTimeout(1500);
    await shoot('live');
    checks.expect(dashboard.complaints.length === 0, `${look} without errors, got: ${dashboard.complaints.join('; ')}`);
    await dashboard.context.close();
  }
  await browser.close();
  return { line: `screens: ${Object.keys(LOOKS).join(', ')} in ${input.output}` };
});
