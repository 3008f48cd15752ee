/**
 * What the scripts know of a page without asking the dashboard: an observer that runs in the page itself, from before
 * its first script. It notes clicks, peer connections, and every picture a video element shows with the age its clock
 * tells (heron-media draws it: 48 blocks along the top, 40 bits of unix time in milliseconds and their checksum).
 */

/** A picture that was shown. */
export interface ShownPicture {
  /** When, in milliseconds of the page's clock. */
  at: number;
  /** How old it was then, by its own clock; null where it carries none. */
  age: number | null;
}

/** What the connections of a page have received, added up. */
export interface Received {
  connections: number;
  framesDecoded: number;
  width: number;
  height: number;
  codec: string;
  audioCodec: string;
  audioEnergy: number;
  audioSeconds: number;
  audioPackets: number;
  /** The two ends of the path: host, srflx, prflx or relay. */
  path: string;
  /** What carries it at this end: udp or tcp; to a relay of this end's also tls. */
  protocol: string;
  at: number;
}

export interface Probe {
  clicked: number;
  pictures: ShownPicture[];
  received(): Promise<Received>;
  /** What the connection in use knows of its servers, its candidates and the pairs that it tried, a line each. */
  tried(): Promise<string[]>;
  /** What the connections went through since this unix time in milliseconds: when after it, and what. */
  timeline(since: number): string[];
  /** Ages of decoded pictures, before they wait for the screen. */
  decodedAges(count: number): Promise<number[]>;
  /** The colours, as bits of red, green and blue, of `count` fields along a line at this part of the height. */
  colours(count: number, height: number): string[];
}

declare global {
  interface Window {
    probe: Probe;
  }
}

/** Runs in the page: refers to nothing outside itself. */
export function installProbe(): void {
  const BLOCKS = 48;
  const TIME_RANGE = 2 ** 40;
  const peers: RTCPeerConnection[] = [];
  /** What the servers or the way to them said. */
  const errors: string[] = [];
  const events: { at: number; what: string }[] = [];
  const note = (what: string): number => events.push({ at: performance.timeOrigin + performance.now(), what });
  window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
    construct(target, given) {
      const peer = new target(...(given as [RTCConfiguration?]));
      peers.push(peer);
      peer.addEventListener('signalingstatechange', () => note(`signalling ${peer.signalingState}`));
      peer.addEventListener('iceconnectionstatechange', () => note(`ice ${peer.iceConnectionState}`));
      peer.addEventListener('connectionstatechange', () => note(`connection ${peer.connectionState}`));
      peer.addEventListener('icecandidate', ({ candidate }) => note(`own ${candidate?.type ?? 'end'} ${candidate?.address ?? ''}`));
      const add = peer.addIceCandidate.bind(peer) as (candidate: RTCIceCandidateInit) => Promise<void>;
      peer.addIceCandidate = ((candidate: RTCIceCandidateInit) => {
        note(`theirs ${candidate.candidate?.split(' ').slice(4, 8).join(' ')}`);
        return add(candidate);
      }) as typeof peer.addIceCandidate;
      peer.addEventListener('icecandidateerror', ({ url, errorCode, errorText }) => errors.push(`${url}: ${errorCode} ${errorText}`));
      return peer;
    },
  });

  const canvas = new OffscreenCanvas(16, 16);
  const context = canvas.getContext('2d', { willReadFrequently: true });

  /**
   * Age in milliseconds at the unix time `now` of a picture whose clock is in this row of pixels; with a scale of 2 that of
   * a picture that was drawn at twice the size, as the smaller rung's is.
   */
  function ageOf(luma: (x: number) => number, width: number, now: number, scale = 1): number | null {
    const block = (Math.floor((scale * width) / BLOCKS) & ~1) / scale;
    let time = 0;
    let given = 0;
    for (let index = 0; index < BLOCKS; index += 1) {
      const bit = luma(Math.floor(index * block + block / 2)) > 125 ? 1 : 0;
      if (index < 40) time = time * 2 + bit;
      else given = given * 2 + bit;
    }
    let sum = 0;
    for (let rest = time; rest > 0; rest = Math.floor(rest / 256)) sum += rest % 256;
    if (time === 0 || sum % 256 !== given) return null;
    const age = (((now - time) % TIME_RANGE) + TIME_RANGE) % TIME_RANGE;
    return age < TIME_RANGE / 2 ? age : age - TIME_RANGE;
  }

  const rowOf = (height: number): number => (Math.max(Math.floor(height / 24), 16) & ~1) / 2;

  function row(video: HTMLVideoElement, y: number): Uint8ClampedArray | undefined {
    const width = video.videoWidth;
    if (canvas.width !== width) canvas.width = width;
    context?.drawImage(video, 0, y, width, 1, 0, 0, width, 1);
    return context?.getImageData(0, 0, width, 1).data;
  }

  const probe: Probe = {
    clicked: 0,
    pictures: [],

    async received() {
      const sum: Received = {
        connections: peers.length,
        framesDecoded: 0,
        width: 0,
        height: 0,
        codec: '',
        audioCodec: '',
        audioEnergy: 0,
        audioSeconds: 0,
        audioPackets: 0,
        path: '',
        protocol: '',
        at: performance.now(),
      };
      for (const peer of peers) {
        const all = (await peer.getStats()) as unknown as Map<string, Record<string, unknown>>;
        for (const stats of all.values()) {
          const number = (name: string) => (typeof stats[name] === 'number' ? (stats[name] as number) : 0);
          const codec = String(all.get(String(stats['codecId']))?.['mimeType'] ?? '');
          if (stats['type'] === 'inbound-rtp' && stats['kind'] === 'video') {
            sum.framesDecoded += number('framesDecoded');
            sum.width = number('frameWidth');
            sum.height = number('frameHeight');
            sum.codec = codec;
          } else if (stats['type'] === 'inbound-rtp') {
            sum.audioEnergy += number('totalAudioEnergy');
            sum.audioSeconds += number('totalSamplesDuration');
            sum.audioPackets += number('packetsReceived');
            sum.audioCodec = codec;
          } else if (stats['type'] === 'transport' && peer.connectionState !== 'closed') {
            const pair = all.get(String(stats['selectedCandidatePairId']));
            const end = (id: string, what: string) => String(all.get(String(pair?.[id]))?.[what] ?? '?');
            const kind = (id: string) => end(id, 'candidateType');
            if (pair !== undefined) {
              sum.path = `${kind('localCandidateId')} to ${kind('remoteCandidateId')}`;
              const own = all.get(String(pair['localCandidateId']));
              sum.protocol = String(own?.['relayProtocol'] ?? own?.['protocol'] ?? '?');
            }
          }
        }
      }
      return sum;
    },

    async tried() {
      // The page may have made one in advance that nobody has answered.
      const peer = peers.filter(({ connectionState, remoteDescription }) => connectionState !== 'closed' && remoteDescription !== null).at(-1);
      const all = ((await peer?.getStats()) ?? new Map()) as unknown as Map<string, Record<string, unknown>>;
      const servers = peer?.getConfiguration().iceServers?.flatMap(({ urls }) => urls) ?? [];
      const candidate = (of: Record<string, unknown> | undefined): string =>
        `${of?.['candidateType']} ${of?.['relayProtocol'] ?? of?.['protocol']} ${of?.['address'] ?? '(hidden)'}:${of?.['port']}`;
      const chosen = new Set([...all.values()].map((stats) => stats['selectedCandidatePairId']));
      const lines = [...all.values()].flatMap((stats) => {
        const end = (id: string) => candidate(all.get(String(stats[id])));
        if (stats['type'] === 'local-candidate' || stats['type'] === 'remote-candidate') return `${stats['type']}: ${candidate(stats)}`;
        if (stats['type'] !== 'candidate-pair') return [];
        const pair = chosen.has(stats['id']) ? 'chosen pair' : 'pair';
        return `${pair}: ${end('localCandidateId')} to ${end('remoteCandidateId')}: ${stats['state']}, ${stats['responsesReceived']} of ${stats['requestsSent']} answered`;
      });
      return [`servers: ${servers.join(', ')}`, ...errors, ...lines];
    },

    timeline(since) {
      return events.filter(({ at }) => at > since).map(({ at, what }) => `${Math.round(at - since)} ${what}`);
    },

    async decodedAges(count) {
      const track = document.querySelector('video')?.srcObject as MediaStream | null;
      const video = track?.getVideoTracks()[0];
      if (video === undefined) return [];
      // Chromium's own: TypeScript's DOM does not know it.
      const Processor = (window as unknown as Record<string, unknown>)['MediaStreamTrackProcessor'] as
        | (new (from: { track: MediaStreamTrack }) => { readable: ReadableStream<VideoFrame> })
        | undefined;
      if (Processor === undefined) return [];
      const copy = video.clone();
      const reader = new Processor({ track: copy }).readable.getReader();
      const ages: number[] = [];
      for (let index = 0; index < count; index += 1) {
        const { value: frame } = await reader.read();
        if (frame === undefined) break;
        const now = Date.now();
        const y = rowOf(frame.codedHeight) & ~1;
        const rect = { x: 0, y, width: frame.codedWidth & ~1, height: 2 };
        const bytes = new Uint8Array(frame.allocationSize({ rect }));
        await frame.copyTo(bytes, { rect });
        const age = ageOf((x) => bytes[x] ?? 0, frame.codedWidth, now);
        if (age !== null) ages.push(age);
        frame.close();
      }
      copy.stop();
      return ages;
    },

    colours(count, height) {
      const video = document.querySelector('video');
      const pixels = video === null ? undefined : row(video, Math.floor(video.videoHeight * height));
      if (video === null || pixels === undefined) return [];
      return Array.from({ length: count }, (_, index) => {
        const x = Math.floor(((index + 0.5) / count) * video.videoWidth);
        return [0, 1, 2].map((channel) => ((pixels[4 * x + channel] ?? 0) > 96 ? '1' : '0')).join('');
      });
    },
  };
  window.probe = probe;
  document.addEventListener('click', (event) => (probe.clicked = event.timeStamp), { capture: true });

  const followed = new WeakSet<HTMLVideoElement>();
  function follow(video: HTMLVideoElement): void {
    if (followed.has(video)) return;
    followed.add(video);
    const shown: VideoFrameRequestCallback = (rendered, frame) => {
      // Without a screen the expected time may lie before the one at which it was drawn.
      const at = Math.max(rendered, frame.expectedDisplayTime);
      // The page's clock and the machine's drift apart: compared anew each time.
      const now = Date.now() + at - performance.now();
      const read = (scale: number): number | null => {
        const pixels = row(video, Math.floor(rowOf(scale * frame.height) / scale));
        return pixels === undefined ? null : ageOf((x) => pixels[4 * x + 1] ?? 0, frame.width, now, scale);
      };
      probe.pictures.push({ at, age: read(1) ?? read(2) });
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  }
  new MutationObserver(() => {
    for (const video of document.querySelectorAll('video')) follow(video);
  }).observe(document, { childList: true, subtree: true });
}
