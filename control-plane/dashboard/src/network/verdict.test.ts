import { describe, expect, test } from 'vitest';
import { readCameraTest, worst } from './checks';
import { mappingOf, type Probe, verdict } from './verdict';

const stun = (port: number, mapped: string[], answered = true): Probe => ({ url: `stun:h:${port}`, answered, mapped, ms: 12 });
const turn = (url: string, answered: boolean): Probe => ({ url, answered, mapped: [], ms: 30 });
const UDP = 'turn:h:3478?transport=udp';
const TLS = 'turns:h:443?transport=tcp';

describe('the router', () => {
  test('is told apart by the ports that two servers see', () => {
    expect(mappingOf([stun(1, ['203.0.113.7 4000']), stun(2, ['203.0.113.7 4000'])])).toBe('same');
    expect(mappingOf([stun(1, ['203.0.113.7 4000']), stun(2, ['203.0.113.7 4001'])])).toBe('varies');
    expect(mappingOf([stun(1, ['203.0.113.7 4000'])])).toBe('unknown');
    expect(mappingOf([stun(1, [])])).toBe('open');
    expect(mappingOf([stun(1, [], false)])).toBe('unknown');
  });
});

describe('the verdict', () => {
  const open = { httpsMs: 20, linked: true };

  test('of an open network has nothing to advise', () => {
    const probes = [stun(1, ['203.0.113.7 4000']), stun(2, ['203.0.113.7 4000']), turn(UDP, true), turn(TLS, true)];
    const { headline, checks } = verdict({ ...open, probes });
    expect(headline).toBe('Pictures can come to this browser.');
    expect(worst(checks)).toBe('ok');
    expect(checks.map(({ sentence }) => sentence)).toContain('STUN over UDP answers: outside, this network is 203.0.113.7.');
    expect(checks.some(({ advice }) => advice)).toBe(false);
  });

  test('of a network without UDP says that a relay carries the picture, and what would be better', () => {
    const { headline, checks } = verdict({ ...open, probes: [stun(1, [], false), turn(UDP, false), turn(TLS, true)] });
    expect(headline).toMatch(/through a relay/);
    expect(checks.find(({ name }) => name === 'STUN over UDP')).toMatchObject({ state: 'failed', advice: /Allow UDP to h:1/ });
    expect(checks.find(({ name }) => name === 'Relay over UDP')).toMatchObject({ state: 'warning' });
    expect(checks.find(({ name }) => name === 'Relay over TLS')).toMatchObject({
      ...{ state: 'ok', sentence: 'The relay h on port 443 answers over TLS in 30 ms.' },
    });
  });

  test('of a closed network says what to open', () => {
    const probes = [stun(1, [], false), { ...turn(TLS, false), error: 'timed out' }];
    const { headline, checks } = verdict({ httpsMs: 20, linked: false, probes });
    expect(headline).toMatch(/cannot come/);
    expect(checks.find(({ name }) => name === 'Relay over TLS')).toEqual({
      ...{ name: 'Relay over TLS', state: 'failed', sentence: 'The relay h on port 443 does not answer over TLS (timed out).' },
      advice: 'Allow TCP to h on port 443. Its certificate must be one that this browser trusts without a warning.',
    });
    expect(checks.find(({ name }) => name === 'Signalling')?.advice).toMatch(/WebSockets/);
  });
});

test("a camera's own test is read, and what is no test is not", () => {
  const check = { name: 'dns', state: 'ok', sentence: 'Names are found.' };
  expect(readCameraTest({ at_ms: 5, checks: [check, { ...check, state: 'odd' }, 7] })).toEqual({
    ...{ at_ms: 5, checks: [{ ...check, name: 'Names (DNS)' }] },
  });
  expect(readCameraTest({ checks: [] })).toBeUndefined();
  expect(readCameraTest(null)).toBeUndefined();
  expect(worst([])).toBe('skipped');
});
