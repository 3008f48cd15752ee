import { describe, expect, test } from 'vitest';
import { figures, relayed, type ShownFrame } from './figures';

type Entry = Record<string, unknown> & { id: string; type: string };

const report = (entries: Entry[]) => new Map<string, unknown>(entries.map((entry) => [entry.id, entry]));

function session(changes: { video?: object; pair?: object; local?: object; remote?: object } = {}): Entry[] {
  return [
    { id: 'T', type: 'transport', selectedCandidatePairId: 'P', dtlsState: 'connected' },
    { id: 'P0', type: 'candidate-pair', currentRoundTripTime: 9, nominated: false, state: 'waiting' },
    {
      ...{ id: 'P', type: 'candidate-pair', localCandidateId: 'L', remoteCandidateId: 'R' },
      ...{ currentRoundTripTime: 0.012, nominated: true, state: 'succeeded', ...changes.pair },
    },
    { id: 'L', type: 'local-candidate', candidateType: 'host', protocol: 'udp', ...changes.local },
    { id: 'R', type: 'remote-candidate', candidateType: 'prflx', protocol: 'udp', ...changes.remote },
    { id: 'C', type: 'codec', mimeType: 'video/H264' },
    {
      ...{ id: 'V', type: 'inbound-rtp', kind: 'video', codecId: 'C', frameWidth: 1280, frameHeight: 720 },
      ...{ framesDecoded: 300, framesDropped: 2, freezeCount: 1, totalFreezesDuration: 0.4, bytesReceived: 3_000_000, packetsLost: 4 },
      ...{ jitterBufferDelay: 6, jitterBufferEmittedCount: 300, totalDecodeTime: 1.5, ...changes.video },
    },
    {
      ...{ id: 'A', type: 'inbound-rtp', kind: 'audio', bytesReceived: 100_000, packetsReceived: 500 },
      ...{ packetsLost: 1, audioLevel: 0.25, totalAudioEnergy: 1.5, totalSamplesDuration: 10 },
    },
  ];
}

describe('figures', () => {
  test('come from the selected pair and both media', () => {
    const now = figures(report(session()), [], undefined, 5000);
    expect(now).toMatchObject({
      ...{ width: 1280, height: 720, codec: 'H264', framesDecoded: 300, framesDropped: 2, freezes: 1, frozenMs: 400 },
      ...{ bytesReceived: 3_100_000, packetsLost: 5, audioLevel: 0.25, totalAudioEnergy: 1.5 },
      ...{ path: { local: 'host', remote: 'prflx', protocol: 'udp' }, dtlsState: 'connected' },
    });
    expect(now.roundTripMs).toBeCloseTo(12);
    expect(now.fps).toBeNull();
    expect(now.kbps).toBeNull();
  });

  test('that are rates need an earlier report', () => {
    const before = figures(report(session()), [], undefined, 5000);
    const later = session({ video: { framesDecoded: 360, bytesReceived: 3_500_000 } });
    const now = figures(report(later), [], before, 7000);
    expect(now.fps).toBeCloseTo(30);
    expect(now.kbps).toBeCloseTo(2000);
  });

  test('that are rates stay as they were when asked for again at once', () => {
    const first = figures(report(session()), [], undefined, 5000);
    const second = figures(report(session({ video: { framesDecoded: 330 } })), [], first, 6000);
    expect(figures(report(session({ video: { framesDecoded: 330 } })), [], second, 6010).fps).toBeCloseTo(30);
  });

  test('do not jump when counters begin anew', () => {
    const before = figures(report(session()), [], undefined, 5000);
    const reset = session({ video: { framesDecoded: 3, bytesReceived: 10 } });
    expect(figures(report(reset), [], before, 6000)).toMatchObject({ fps: null, kbps: null });
  });

  test('of a session that has nothing yet are empty, not wrong', () => {
    expect(figures(report([]), [], undefined, 0)).toMatchObject({
      ...{ width: null, fps: null, path: null, roundTripMs: null, latencyMs: null, framesDecoded: 0 },
    });
  });

  test('find the pair in a browser that names no transport', () => {
    const without = session().filter((entry) => entry.type !== 'transport');
    expect(figures(report(without), [], undefined, 0).path?.local).toBe('host');
  });
});

describe('the path', () => {
  test.each([
    ['direct', 'host', 'srflx', false],
    ['relayed here', 'relay', 'host', true],
    ['relayed there', 'prflx', 'relay', true],
  ])('is %s', (_, local, remote, expected) => {
    const entries = session({ local: { candidateType: local }, remote: { candidateType: remote } });
    const { path } = figures(report(entries), [], undefined, 0);
    expect(path && relayed(path)).toBe(expected);
  });
});

describe('latency', () => {
  const of = (...shown: ShownFrame[]) => {
    const { latencyMs, latencyMethod } = figures(report(session()), shown, undefined, 0);
    return [latencyMs === null ? null : Math.round(latencyMs), latencyMethod];
  };

  test('is measured where the frame knows when it was captured', () => {
    expect(of({ expectedDisplayTime: 1080, captureTime: 1000, receiveTime: 1040 })).toEqual([80, 'measured']);
  });

  test('is estimated from arrival to display and half a round trip otherwise', () => {
    expect(of({ expectedDisplayTime: 1080, receiveTime: 1050 })).toEqual([36, 'estimated']);
  });

  test('is estimated from the buffer and the decoder where nothing is known of the frame', () => {
    // 20 ms buffered and 5 ms decoding per frame, and half of 12 ms.
    expect(of()).toEqual([31, 'estimated']);
  });

  test('is the median, so that one late frame does not show', () => {
    const frame = (ms: number): ShownFrame => ({ expectedDisplayTime: 1000 + ms, captureTime: 1000 });
    expect(of(...[40, 42, 900, 41, 44].map(frame))).toEqual([42, 'measured']);
  });

  test('does not believe a capture time from a clock that is off', () => {
    expect(of({ expectedDisplayTime: 1080, captureTime: 2000, receiveTime: 1050 })).toEqual([36, 'estimated']);
    expect(of({ expectedDisplayTime: 99_000, captureTime: 1, receiveTime: 98_990 })).toEqual([16, 'estimated']);
  });
});
