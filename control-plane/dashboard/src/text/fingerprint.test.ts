import { expect, test } from 'vitest';
import { fingerprint } from './fingerprint';

test('a fingerprint is shown in groups', () => {
  expect(fingerprint('0123456789abcdef01')).toBe('0123 4567 89ab cdef 01');
  expect(fingerprint('')).toBe('');
});
