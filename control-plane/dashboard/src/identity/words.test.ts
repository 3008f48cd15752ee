import { expect, test } from 'vitest';
import type { Identity } from '../api/identity';
import { certificateWords, connectionWords, identityWords, renewal } from './words';

const NOW = 1_800_000_000_000;
const DAY = 86_400_000;
const identity = (more: Partial<Identity> = {}): Identity => ({
  ...{ state: 'active', reason: null, since_ms: null, renew_after_ms: NOW + 60 * DAY, certificates: [] },
  ...more,
});

test('a camera that is kept out is shown with the reason somebody gave', () => {
  expect(identityWords(identity({ state: 'quarantined', reason: 'two devices use this identity' }))).toMatchObject({
    ...{ text: 'Quarantined', reason: 'Two devices use this identity.' },
  });
  expect(identityWords(identity())).toMatchObject({ text: 'Active', tone: 'good', reason: '' });
});

test('renewal is told in days, and not at all of a camera that will not renew', () => {
  expect(renewal(identity(), NOW)).toBe('It renews its certificate in 60 days.');
  expect(renewal(identity({ renew_after_ms: NOW + 1 }), NOW)).toMatch(/within a day/);
  expect(renewal(identity({ renew_after_ms: NOW - 1 }), NOW)).toMatch(/due/);
  expect(renewal(identity({ state: 'revoked' }), NOW)).toBe('');
  expect(renewal(identity({ renew_after_ms: null }), NOW)).toBe('');
});

test('the history says why a camera went, and why it had been away', () => {
  expect(connectionWords({ online: false, reason: 'thermal' })).toBe('Went offline: it became too hot');
  expect(connectionWords({ online: false, reason: null })).toBe('Went offline');
  expect(connectionWords({ online: true, reason: 'power' })).toBe('Connected again: its power had gone away');
  expect(connectionWords({ online: true, reason: null })).toBe('Connected');
});

test('words of a newer version are shown as they are', () => {
  expect(certificateWords('on_hold' as 'active')).toEqual({ text: 'on hold', tone: 'plain' });
  expect(identityWords(identity({ state: 'dreaming' as 'active' })).text).toBe('Dreaming');
});
