import { expect, test } from 'vitest';
import type { CallEnd } from '../rtc/call';
import { awayReason, endSentence, offlineReason, storedEnd } from './reasons';

test('an end says why, in the words of who ended it', () => {
  expect(endSentence({ reason: 'limit', detail: '' })).toMatch(/Too many people/);
  expect(endSentence({ reason: 'grant_refused', detail: 'the grant has expired' })).toBe(
    'The camera refused to be watched. (the grant has expired)',
  );
  expect(endSentence({ reason: 'untrusted', detail: 'another camera answered' })).toBe('Another camera answered.');
});

test('why a camera is away is said in its present, why it was in its past', () => {
  expect(offlineReason('power')).toBe('its power went away');
  expect(awayReason('power')).toBe('its power had gone away');
  expect(awayReason('certificate')).toBe('a certificate was not accepted');
  expect(awayReason(null)).toBe('');
});

test('words of a newer version are shown as they are', () => {
  expect(endSentence({ reason: 'sun_in_lens', detail: '' } as unknown as CallEnd)).toBe('It ended: sun in lens.');
  expect(storedEnd('sun_in_lens')).toBe('sun in lens');
  expect(offlineReason('low_battery')).toBe('low battery');
  expect(offlineReason(null)).toBe('');
});
