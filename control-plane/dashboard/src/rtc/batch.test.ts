import { expect, test } from 'vitest';
import { Batch } from './batch';

test('what comes within the delay travels together, in order', () => {
  const batch = new Batch<string>(30, 10);
  expect(batch.due).toBeUndefined();
  batch.add('a', 100);
  batch.add('b', 120);
  expect(batch.due).toBe(130);
  expect(batch.take(129)).toEqual([]);
  expect(batch.take(130)).toEqual(['a', 'b']);
  expect(batch.take(131)).toEqual([]);
  expect(batch.due).toBeUndefined();
});

test('the wait counts from the first, however many follow', () => {
  const batch = new Batch<number>(30, 100);
  for (let now = 0; now < 30; now += 5) batch.add(now, now);
  expect(batch.take(30)).toHaveLength(6);
});

test('a full batch does not wait, and the rest follows at once', () => {
  const batch = new Batch<number>(30, 3);
  for (let i = 0; i < 5; i += 1) batch.add(i, 0);
  expect(batch.due).toBe(0);
  expect(batch.take(0)).toEqual([0, 1, 2]);
  expect(batch.due).toBe(0);
  expect(batch.take(0)).toEqual([3, 4]);
  expect(batch.due).toBeUndefined();
});
