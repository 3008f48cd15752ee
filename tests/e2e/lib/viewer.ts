/** A page that watches one of the servers of a bench, the same for all of them: it joins by WHEP and shows the picture. */

import { type Browser, chromium, type Page } from 'playwright-core';
import { FLAGS } from './dashboard';
import { installProbe } from './probe';
import { installSampler, type Sample } from './sampler';
import { ask } from './xtask';

/** What xtask says of a server that it has started. */
export interface Served {
  /** The WHEP endpoint. */
  whep: string;
  /** What the endpoint wants to be shown. */
  token?: string;
}

/** A page of a secure origin that no server has: everything on it comes from here. */
const PLAYER = 'https://player.test/';
const START_MS = 30_000;

/** Starts a server, after ending the one before. */
export const serve = async (server: string): Promise<Served> => JSON.parse(await ask('serve', server)) as Served;

/** A Chromium, here or by a program that starts it elsewhere. */
export const launch = (executablePath: string): Promise<Browser> =>
  chromium.launch({ executablePath, headless: true, args: FLAGS });

/** A page on which a server's picture is running. */
export class Viewer {
  private constructor(readonly page: Page) {}

  /** Opens the page and waits for the first picture. */
  static async watch(browser: Browser, { whep, token }: Served): Promise<Viewer> {
    const context = await browser.newContext();
    // Functions reach the page as text; this is what the TypeScript loader adds to them.
    await context.addInitScript('globalThis.__name = (value) => value');
    await context.addInitScript(installProbe);
    await context.addInitScript(installSampler);
    const page = await context.newPage();
    await page.route(`${PLAYER}**`, (route) =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>player</title><body style="margin:0"></body>' }),
    );
    // The offer goes from here: neither a certificate nor the link under test is in its way.
    await page.exposeFunction('join', async (offer: string) => {
      const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const headers = { 'content-type': 'application/sdp', ...authorization };
      const answer = await fetch(whep, { method: 'POST', headers, body: offer });
      if (answer.status !== 201) throw new Error(`${whep} answered ${answer.status}: ${await answer.text()}`);
      return answer.text();
    });
    await page.goto(PLAYER);
    await page.evaluate(async () => {
      const video = document.createElement('video');
      Object.assign(video, { autoplay: true, muted: true, playsInline: true, width: 1280 });
      document.body.append(video);
      const peer = new RTCPeerConnection();
      peer.addTransceiver('video', { direction: 'recvonly' });
      peer.ontrack = ({ track }) => (video.srcObject = new MediaStream([track]));
      await peer.setLocalDescription();
      await new Promise<void>((done) => {
        const look = () => peer.iceGatheringState === 'complete' && done();
        peer.addEventListener('icegatheringstatechange', look);
        look();
      });
      const join = (window as unknown as { join(offer: string): Promise<string> }).join;
      await peer.setRemoteDescription({ type: 'answer', sdp: await join(peer.localDescription?.sdp ?? '') });
    });
    await page.waitForFunction(() => window.probe.pictures.length > 0, undefined, { timeout: START_MS });
    return new Viewer(page);
  }

  /** Waits; the page goes on. */
  wait(ms: number): Promise<void> {
    return this.page.waitForTimeout(ms);
  }

  /** The statistics since the beginning. */
  samples(): Promise<Sample[]> {
    return this.page.evaluate(() => window.sampler.samples);
  }

  /** When pictures were shown, in milliseconds of the machine's clock. */
  shown(): Promise<number[]> {
    return this.page.evaluate(() => window.probe.pictures.map(({ at }) => performance.timeOrigin + at));
  }

  /** Ages of pictures over so many of them: as decoded, before they wait for the screen, and as shown. */
  async ages(count: number): Promise<{ decoded: number[]; shown: number[]; fps: number }> {
    await this.page.evaluate(() => window.probe.pictures.splice(0));
    const begin = Date.now();
    const decoded = await this.page.evaluate((count) => window.probe.decodedAges(count), count);
    const fps = (count * 1000) / (Date.now() - begin);
    const pictures = await this.page.evaluate(() => window.probe.pictures);
    return { decoded, shown: pictures.flatMap(({ age }) => (age === null ? [] : [age])), fps };
  }
}
