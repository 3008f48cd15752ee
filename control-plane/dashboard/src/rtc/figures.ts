/**
 * Live figures of a session, from the browser's statistics (W3C webrtc-stats) and the frame that is shown.
 * Pure: a report, the figures before it and the time go in, the figures now come out.
 */

import type { CandidateKind, Path } from '../signalling/messages';

/** How the latency was found: from the frame's capture time, or added up from what the browser knows. */
export type LatencyMethod = 'measured' | 'estimated';

export interface Figures {
  /** When these were taken, in milliseconds of the caller's clock. */
  at: number;
  width: number | null;
  height: number | null;
  /** Pictures decoded a second. */
  fps: number | null;
  /** Media received, in kbit/s: video and sound. */
  kbps: number | null;
  path: Path | null;
  roundTripMs: number | null;
  /** Capture to shown. */
  latencyMs: number | null;
  latencyMethod: LatencyMethod | null;
  codec: string | null;
  bytesReceived: number;
  /** Everything that came on whichever path, reports and all: between two paths the camera may send on either. */
  bytesArrived: number;
  framesDecoded: number;
  framesDropped: number;
  freezes: number;
  /** How long the picture stood still in all. */
  frozenMs: number;
  packetsLost: number;
  audioPacketsReceived: number;
  /** Level of the sound as played, 0 to 1; some browsers count no level and no energy while muted. */
  audioLevel: number | null;
  totalAudioEnergy: number;
  totalSamplesDuration: number;
  dtlsState: string | null;
}

/** What the browser says of the frame it shows (`requestVideoFrameCallback`), in milliseconds of the page's clock. */
export interface ShownFrame {
  expectedDisplayTime: number;
  /** When the camera took it, by clock synchronisation from RTCP sender reports; not in every browser. */
  captureTime?: number;
  /** When its last packet arrived. */
  receiveTime?: number;
}

/** Statistics as they come: a report is iterable like a map of objects with many optional members. */
export type Report = Iterable<[string, unknown]>;
type Stats = Record<string, unknown> & { id: string; type: string };

/** Longer than this is a clock that is off, not a picture that is late. */
const PLAUSIBLE_MS = 30_000;

/** Over less than this, a rate is a matter of luck. */
const SHORTEST_S = 0.25;

/** `shown` are the frames of about the last second; `before` are the figures that rates count from. */
export function figures(report: Report, shown: readonly ShownFrame[], before: Figures | undefined, now: number): Figures {
  const all = new Map<string, Stats>();
  for (const [id, stats] of report) all.set(id, stats as Stats);
  const video = inbound(all, 'video');
  const audio = inbound(all, 'audio');
  const transport = first(all, 'transport');
  const pair = selectedPair(all, transport);
  const bytesReceived = number(video?.['bytesReceived']) + number(audio?.['bytesReceived']);
  const framesDecoded = number(video?.['framesDecoded']);
  const rtt = milliseconds(pair?.['currentRoundTripTime']);
  const seconds = before === undefined ? 0 : (now - before.at) / 1000;
  const rate = (total: number, earlier: number) => (total < earlier ? null : (total - earlier) / seconds);
  const rates = (): Pick<Figures, 'fps' | 'kbps'> => {
    if (before === undefined) return { fps: null, kbps: null };
    if (seconds < SHORTEST_S) return { fps: before.fps, kbps: before.kbps };
    const bytesPerSecond = rate(bytesReceived, before.bytesReceived);
    return {
      fps: rate(framesDecoded, before.framesDecoded),
      kbps: bytesPerSecond === null ? null : (bytesPerSecond * 8) / 1000,
    };
  };
  return {
    at: now,
    width: maybe(video?.['frameWidth']),
    height: maybe(video?.['frameHeight']),
    ...rates(),
    path: pathOf(all, pair),
    roundTripMs: rtt,
    ...latency(shown, video, rtt),
    codec: codecOf(all, video),
    bytesReceived,
    bytesArrived: number(transport?.['bytesReceived'] ?? pair?.['bytesReceived']),
    framesDecoded,
    framesDropped: number(video?.['framesDropped']),
    freezes: number(video?.['freezeCount']),
    frozenMs: 1000 * number(video?.['totalFreezesDuration']),
    packetsLost: number(video?.['packetsLost']) + number(audio?.['packetsLost']),
    audioPacketsReceived: number(audio?.['packetsReceived']),
    audioLevel: maybe(audio?.['audioLevel']),
    totalAudioEnergy: number(audio?.['totalAudioEnergy']),
    totalSamplesDuration: number(audio?.['totalSamplesDuration']),
    dtlsState: text(transport?.['dtlsState']),
  };
}

/** Whether a TURN server is in between. */
export const relayed = (path: Path): boolean => path.local === 'relay' || path.remote === 'relay';

type Latency = Pick<Figures, 'latencyMs' | 'latencyMethod'>;

/**
 * Capture to shown, the median of the frames. Best from their own capture times. Else estimated: half a round trip,
 * then from the last packet's arrival to the display, or what the jitter buffer and the decoder took per frame. The
 * estimate lacks what the camera itself needed before the packet left.
 */
function latency(shown: readonly ShownFrame[], video: Stats | undefined, rtt: number | null): Latency {
  const measured = median(shown.map((frame) => took(frame.captureTime, frame)));
  if (measured !== null) return { latencyMs: measured, latencyMethod: 'measured' };
  const local = median(shown.map((frame) => took(frame.receiveTime, frame))) ?? bufferedAndDecoded(video);
  if (rtt === null || local === null) return { latencyMs: null, latencyMethod: null };
  return { latencyMs: rtt / 2 + local, latencyMethod: 'estimated' };
}

/** From then until the frame is displayed; `null` for a time that is unknown or not plausible. */
function took(since: number | undefined, { expectedDisplayTime }: ShownFrame): number | null {
  if (since === undefined) return null;
  const took = expectedDisplayTime - since;
  return took >= 0 && took < PLAUSIBLE_MS ? took : null;
}

function median(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null).toSorted((a, b) => a - b);
  return known[known.length >> 1] ?? null;
}

function bufferedAndDecoded(video: Stats | undefined): number | null {
  const emitted = number(video?.['jitterBufferEmittedCount']);
  const decoded = number(video?.['framesDecoded']);
  if (emitted === 0 || decoded === 0) return null;
  return (number(video?.['jitterBufferDelay']) / emitted + number(video?.['totalDecodeTime']) / decoded) * 1000;
}

function inbound(all: Map<string, Stats>, kind: string): Stats | undefined {
  for (const stats of all.values()) if (stats.type === 'inbound-rtp' && stats['kind'] === kind) return stats;
  return undefined;
}

function first(all: Map<string, Stats>, type: string): Stats | undefined {
  for (const stats of all.values()) if (stats.type === type) return stats;
  return undefined;
}

function selectedPair(all: Map<string, Stats>, transport: Stats | undefined): Stats | undefined {
  const selected = transport?.['selectedCandidatePairId'];
  if (typeof selected === 'string') return all.get(selected);
  // Firefox names no transport; it marks the pair itself.
  for (const stats of all.values()) {
    if (stats.type === 'candidate-pair' && (stats['selected'] === true || isInUse(stats))) return stats;
  }
  return undefined;
}

const isInUse = (pair: Stats): boolean => pair['nominated'] === true && pair['state'] === 'succeeded';

function pathOf(all: Map<string, Stats>, pair: Stats | undefined): Path | null {
  const local = all.get(String(pair?.['localCandidateId']));
  const remote = all.get(String(pair?.['remoteCandidateId']));
  const localKind = text(local?.['candidateType']);
  const remoteKind = text(remote?.['candidateType']);
  if (localKind === null || remoteKind === null) return null;
  const localAddress = addressOf(local);
  const remoteAddress = addressOf(remote);
  const relay = localKind === 'relay' ? text(local?.['url']) : null;
  return {
    local: localKind as CandidateKind,
    remote: remoteKind as CandidateKind,
    protocol: text(local?.['protocol']) ?? 'udp',
    ...(localAddress === null ? {} : { local_address: localAddress }),
    ...(remoteAddress === null ? {} : { remote_address: remoteAddress }),
    ...(relay === null ? {} : { relay }),
  };
}

/** `192.0.2.1:5000`, `[2001:db8::1]:5000`; `null` where the browser keeps the address to itself. */
function addressOf(candidate: Stats | undefined): string | null {
  const address = text(candidate?.['address']);
  const port = maybe(candidate?.['port']);
  if (!address || port === null) return null;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function codecOf(all: Map<string, Stats>, video: Stats | undefined): string | null {
  return text(all.get(String(video?.['codecId']))?.['mimeType'])?.replace(/^video\//, '') ?? null;
}

const maybe = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null);
const number = (value: unknown): number => maybe(value) ?? 0;
const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

function milliseconds(seconds: unknown): number | null {
  const value = maybe(seconds);
  return value === null ? null : value * 1000;
}
