/** The dashboard as a person uses it, and as the scripts look at it. */

import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import { installProbe, type Received, type ShownPicture } from './probe';
import type { Input } from './xtask';

/** Headless, quiet, and able to run as root; nothing else differs from a person's Chromium. */
export const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // A container's shared memory may be too small for video frames, and the page would crash.
  '--disable-dev-shm-usage',
  '--autoplay-policy=no-user-gesture-required',
];

const START_MS = 30_000;

export const launch = ({ chromium: executablePath }: Input, more: string[] = []): Promise<Browser> =>
  chromium.launch({ executablePath, headless: true, args: [...FLAGS, ...more] });

/** Opens the dashboard in a profile of its own. */
export async function open(browser: Browser, input: Input, options: BrowserContextOptions = {}): Promise<Dashboard> {
  // The certificate is of the control plane's own CA, which this browser does not know.
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  // Functions reach the page as text; this is what the TypeScript loader adds to them.
  await context.addInitScript('globalThis.__name = (value) => value');
  await context.addInitScript(installProbe);
  const page = await context.newPage();
  return new Dashboard(page, context, input);
}

export class Dashboard {
  /** What the page complained about. */
  readonly complaints: string[] = [];

  constructor(
    readonly page: Page,
    readonly context: BrowserContext,
    private readonly input: Input,
  ) {
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      // Asking who is signed in, the answer "nobody" is a status the browser logs as an error.
      const expected = message.text().includes('status of 401');
      if (message.type() === 'error' && !expected) this.complaints.push(message.text());
    });
  }

  async signIn(password = this.input.password): Promise<void> {
    await this.goto(START_MS);
    await this.page.getByTestId('sign-in-name').fill(this.input.name);
    await this.page.getByTestId('sign-in-password').fill(password);
    await this.page.getByTestId('sign-in-submit').click();
  }

  /** Opens the page as a person would: a load that a change of the network broke off is tried again. */
  private async goto(limit: number): Promise<void> {
    const end = performance.now() + limit;
    for (;;) {
      try {
        await this.page.goto(this.input.url);
        return;
      } catch (error) {
        const broken = error instanceof Error && error.message.includes('net::ERR_');
        if (!broken || performance.now() > end) throw error;
        console.log(`loading the page again: ${error.message.split('\n', 1)[0]}`);
        await this.page.waitForTimeout(500);
      }
    }
  }

  /** Waits until the list says that the camera is online. */
  async cameraOnline(limit = START_MS, name = ''): Promise<void> {
    await this.card(name).waitFor({ timeout: limit });
    await this.card(name).locator('[data-testid="camera-online"][data-online="true"]').waitFor({ timeout: limit });
  }

  /** The card of the camera of this name, or of the only one. */
  card(name = ''): Locator {
    const cards = this.page.locator('[data-testid^="camera-card-"]');
    return (name === '' ? cards : cards.filter({ has: this.page.getByText(name, { exact: true }) })).first();
  }

  async clickCamera(name = ''): Promise<void> {
    await this.card(name).click();
  }

  /** Signs in, clicks the camera and waits for the first picture; returns how long that took from the click. */
  async watch(limit = START_MS): Promise<number> {
    await this.signIn();
    await this.cameraOnline(limit);
    return this.start(limit);
  }

  /** Clicks the camera and waits for the first picture. */
  async start(limit = START_MS, name = ''): Promise<number> {
    await this.clickCamera(name);
    try {
      // The player before may have shown its last picture only just now: what counts comes after the click.
      const first = await this.page.waitForFunction(
        () => {
          const { clicked, pictures } = window.probe;
          return pictures.find(({ at }) => at > clicked)?.at;
        },
        undefined,
        { timeout: limit },
      );
      const shown = (await first.jsonValue()) ?? 0;
      return shown - (await this.page.evaluate(() => window.probe.clicked));
    } catch {
      throw new Error(`no picture after ${limit / 1000} s; the page says: ${await this.status()}`);
    }
  }

  /** Lets the sound out, where the page asks for that first. */
  async unmute(): Promise<void> {
    const button = this.page.getByTestId('unmute');
    if ((await button.getAttribute('aria-pressed')) === 'false') await button.click();
  }

  received(): Promise<Received> {
    return this.page.evaluate(() => window.probe.received());
  }

  pictures(): Promise<ShownPicture[]> {
    return this.page.evaluate(() => window.probe.pictures);
  }

  /** Waits until so many more pictures were decoded than `before`. */
  async framesAfter(before: Received, count: number, limit: number): Promise<Received> {
    const end = performance.now() + limit;
    for (;;) {
      const now = await this.received();
      if (now.framesDecoded - before.framesDecoded >= count || performance.now() > end) return now;
      await this.page.waitForTimeout(100);
    }
  }

  /** Waits for sound above a level, over half a second; false if there was none in time. */
  async audible(level: number, limit: number): Promise<boolean> {
    const end = performance.now() + limit;
    while (performance.now() < end) {
      const before = await this.received();
      await this.page.waitForTimeout(500);
      if (loudness(before, await this.received()) > level) return true;
    }
    return false;
  }

  /** Pictures a second over the next `seconds`. */
  async frameRate(seconds: number): Promise<number> {
    const before = await this.received();
    await this.page.waitForTimeout(seconds * 1000);
    return rate(before, await this.received());
  }

  /** What the live page says of the connection. */
  async status(): Promise<string> {
    const texts = await this.page.getByRole('status').allInnerTexts();
    const said = texts.join(' ').replaceAll(/\s+/g, ' ').trim();
    return said || (await this.page.locator('body').innerText()).slice(0, 300);
  }

  async picture(name: string): Promise<void> {
    await this.page.screenshot({ path: `${this.input.output}/${name}.png` });
  }
}

/** The loudness (RMS, 0 to 1) between two looks: the level of a moment may fall into a pause. */
export const loudness = (before: Received, after: Received): number =>
  Math.sqrt((after.audioEnergy - before.audioEnergy) / (after.audioSeconds - before.audioSeconds));

export const rate = (before: Received, after: Received): number =>
  ((after.framesDecoded - before.framesDecoded) * 1000) / (after.at - before.at);
