/** The button that saves a picture: a JPEG file of this moment, at the camera's full size, through the data channel. */

import { readFileSync } from 'node:fs';
import { launch, open } from './lib/dashboard';
import { script } from './lib/xtask';

await script(async (input, checks) => {
  const browser = await launch(input);
  const dashboard = await open(browser, input);
  const { page } = dashboard;
  await dashboard.watch();
  const files: { name: string; bytes: number; size: string }[] = [];
  for (const press of [() => page.getByTestId('snapshot').click(), () => page.keyboard.press('s')]) {
    const [download] = await Promise.all([page.waitForEvent('download'), press()]);
    const bytes = readFileSync(await download.path());
    const size = await page.evaluate(async (base64) => {
      const letters = atob(base64);
      const file = new Blob([Uint8Array.from(letters, (letter) => letter.charCodeAt(0))], { type: 'image/jpeg' });
      const { width, height } = await createImageBitmap(file);
      return `${width}x${height}`;
    }, bytes.toString('base64'));
    files.push({ name: download.suggestedFilename(), bytes: bytes.length, size });
  }
  for (const { name, bytes, size } of files) {
    checks.expect(/^Front door \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.jpg$/.test(name), `a name with camera and time, got ${name}`);
    checks.expect(size === '320x180', `a picture of 320x180, got ${size} in ${bytes} bytes`);
  }
  const note = await page.getByTestId('snapshot-note').innerText();
  checks.expect(note === '', `nothing to complain about, it says: ${note}`);
  // A drawn picture has nothing to set.
  checks.expect((await page.getByTestId('image-settings').count()) === 0, 'no picture settings for a drawn picture');
  checks.expect(dashboard.complaints.length === 0, `no errors on the page, got: ${dashboard.complaints.join('; ')}`);
  await browser.close();
  const [first] = files;
  return { line: `snapshot: "${first?.name}", ${first?.size}, ${first?.bytes} bytes` };
});
