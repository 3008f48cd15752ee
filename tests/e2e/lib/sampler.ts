/**
 * The course of a stream: what Chromium's statistics say ten times a second, noted in the page itself. Its times, and
 * those of the link between camera and page, are milliseconds of the machine's clock.
 */

/** Chromium's figures of the incoming picture; those that count do so from the beginning of the connection. */
export interface Sample {
  at: number;
  bytes: number;
  frames: number;
  width: number;
  freezes: number;
  freezeSeconds: number;
  lost: number;
  nacks: number;
  plis: number;
  fec: number;
}

export interface Sampler {
  samples: Sample[];
  peers: RTCPeerConnection[];
}

declare global {
  interface Window {
    sampler: Sampler;
  }
}

/** Runs in the page: refers to nothing outside itself. */
export function installSampler(): void {
  const EVERY_MS = 100;
  const sampler: Sampler = { samples: [], peers: [] };
  window.sampler = sampler;
  window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
    construct(target, given) {
      const peer = new target(...(given as [RTCConfiguration?]));
      sampler.peers.push(peer);
      return peer;
    },
  });

  async function look(): Promise<void> {
    const peer = sampler.peers.at(-1);
    if (peer === undefined || peer.connectionState === 'closed') return;
    const all = (await peer.getStats()) as unknown as Map<string, Record<string, unknown>>;
    for (const stats of all.values()) {
      if (stats['type'] !== 'inbound-rtp' || stats['kind'] !== 'video') continue;
      const number = (name: string) => (typeof stats[name] === 'number' ? (stats[name] as number) : 0);
      sampler.samples.push({
        at: performance.timeOrigin + performance.now(),
        bytes: number('bytesReceived') + number('headerBytesReceived'),
        frames: number('framesDecoded'),
        width: number('frameWidth'),
        freezes: number('freezeCount'),
        freezeSeconds: number('totalFreezesDuration'),
        lost: number('packetsLost'),
        nacks: number('nackCount'),
        plis: number('pliCount'),
        fec: number('fecPacketsReceived'),
      });
    }
  }
  setInterval(() => void look(), EVERY_MS);
}
