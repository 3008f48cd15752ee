import { expect, test } from 'vitest';
import { advice, type Seen, steps } from './progress';

const seen = (more: Partial<Seen> = {}): Seen => ({ issued: false, online: false, shown: false, ...more });
const states = (so_far: Seen) => steps(so_far).map(({ state }) => state);

test('one step after the other is done', () => {
  expect(states(seen())).toEqual(['done', 'now', 'later', 'later']);
  expect(states(seen({ issued: true }))).toEqual(['done', 'done', 'now', 'later']);
  expect(states(seen({ issued: true, online: true }))).toEqual(['done', 'done', 'done', 'now']);
  expect(states(seen({ issued: true, online: true, shown: true }))).toEqual(['done', 'done', 'done', 'done']);
});

test('what was seen first stands for what must have been before it', () => {
  expect(states(seen({ online: true }))).toEqual(['done', 'done', 'done', 'now']);
  expect(states(seen({ shown: true }))).toEqual(['done', 'done', 'done', 'done']);
});

test('advice comes when a step takes long, and is about that step', () => {
  expect(advice(seen(), 29_000)).toBe('');
  expect(advice(seen(), 30_000)).toMatch(/switched on/);
  expect(advice(seen({ issued: true }), 30_000)).toMatch(/8883/);
  expect(advice(seen({ issued: true, online: true }), 30_000)).toMatch(/no picture yet/);
  expect(advice(seen({ shown: true }), 90_000)).toBe('');
});
