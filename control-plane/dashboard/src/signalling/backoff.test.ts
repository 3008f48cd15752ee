import { expect, test } from 'vitest';
import { Backoff } from './backoff';

test('waits double up to the longest, and begin anew after success', () => {
  const backoff = new Backoff(500, 4000, () => 1);
  expect([1, 2, 3, 4, 5].map(() => backoff.next())).toEqual([500, 1000, 2000, 4000, 4000]);
  backoff.reset();
  expect(backoff.next()).toBe(500);
});

test('never spins, whatever the dice say', () => {
  expect(new Backoff(500, 4000, () => 0).next()).toBe(125);
});
