import { expect, test } from 'vitest';
import { ago, bitRate, bytes, clock, day, duration, milliseconds, sentence } from './format';

const NOW = new Date(2026, 10, 22, 14, 30).getTime();

test('times that passed', () => {
  const back = (seconds: number) => ago(NOW - seconds * 1000, NOW);
  expect([5, 90, 7300, 90_000].map(back)).toEqual(['just now', '1 min. ago', '2 hr. ago', 'yesterday']);
  // A camera's clock may be a little ahead of ours.
  expect(back(-20)).toBe('just now');
});

test('times of day', () => {
  expect(clock(new Date(2026, 10, 22, 9, 5).getTime(), NOW)).toBe('09:05');
  expect(clock(new Date(2026, 10, 20, 9, 5).getTime(), NOW)).toBe('20 Nov, 09:05');
});

test('days', () => {
  expect(day(new Date(2026, 10, 20, 9, 5).getTime())).toBe('20 Nov 2026');
});

test('durations', () => {
  expect([400, 59_000, 61_000, 3_900_000].map(duration)).toEqual(['0 s', '59 s', '1 min', '1 h 05 min']);
});

test('amounts', () => {
  expect([0, 999, 1000, 12_400_000, 123_400_000].map(bytes)).toEqual(['0 B', '999 B', '1.0 kB', '12.4 MB', '123 MB']);
  expect([640.4, 2449].map(bitRate)).toEqual(['640 kbit/s', '2.4 Mbit/s']);
  expect([3.14159, 181.6].map(milliseconds)).toEqual(['3.1 ms', '182 ms']);
});

test('lines become sentences', () => {
  expect(['no such camera', 'Wait!', 'reconnecting…'].map(sentence)).toEqual(['No such camera.', 'Wait!', 'Reconnecting…']);
});
