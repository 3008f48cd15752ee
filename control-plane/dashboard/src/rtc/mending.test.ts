import { describe, expect, test } from 'vitest';
import { DOUBT_MS, GIVE_UP_MS, Mending, STALL_MS } from './mending';

describe('another path is looked for', () => {
  test('half a second after the browser doubts the old one, at once when it has given it up', () => {
    const doubted = new Mending();
    doubted.lost(1000);
    expect(doubted.broken).toBe(true);
    expect(doubted.isDue(1000 + DOUBT_MS - 1)).toBe(false);
    expect(doubted.isDue(1000 + DOUBT_MS)).toBe(true);
    doubted.failed(1200);
    expect(doubted.isDue(1200)).toBe(true);
  });

  test('not when the doubt was unfounded', () => {
    const mending = new Mending();
    mending.lost(1000);
    mending.mended(1300);
    expect(mending.broken).toBe(false);
    expect(mending.due).toBeUndefined();
  });

  test('when nothing comes any more, whatever the browser says', () => {
    const mending = new Mending();
    expect(mending.received(10, 0)).toBe(false);
    expect(mending.received(20, 1000)).toBe(false);
    expect(mending.received(20, 1000 + STALL_MS - 1)).toBe(false);
    expect(mending.received(20, 1000 + STALL_MS)).toBe(true);
    expect(mending.isDue(1000 + STALL_MS)).toBe(true);
  });

  test('at once when the network changes, though the old path still carries', () => {
    const mending = new Mending();
    mending.changed(500);
    expect(mending.isDue(500)).toBe(true);
    expect(mending.broken).toBe(false);
    mending.asked(500);
    mending.answered(600);
    expect(mending.due).toBeUndefined();
  });

  test('again while there is no answer, each time after a longer wait', () => {
    const mending = new Mending();
    mending.failed(0);
    const waits = [];
    for (let now = 0, turn = 0; turn < 5; turn += 1) {
      mending.asked(now);
      waits.push((mending.due ?? 0) - now);
      now = mending.due ?? 0;
    }
    expect(waits).toEqual([1000, 2000, 4000, 4000, 4000]);
    // News of the same loss do not hurry it, a new network does.
    mending.lost(11_100);
    expect(mending.isDue(12_000)).toBe(false);
    mending.changed(12_000);
    expect(mending.isDue(12_000)).toBe(true);
  });

  test('not sooner after the last time than the control plane takes it', () => {
    const mending = new Mending();
    mending.changed(0);
    mending.asked(0);
    // Both ends noticed: the camera's wish comes just after.
    mending.changed(20);
    expect(mending.isDue(500)).toBe(false);
    mending.answered(300);
    expect(mending.due).toBeUndefined();
  });

  test('until the new path carries, not only until the answer', () => {
    const mending = new Mending();
    mending.failed(0);
    mending.asked(0);
    // The camera lost it too, and says so before it answers.
    mending.changed(100);
    mending.answered(200);
    expect(mending.isDue(2199)).toBe(false);
    expect(mending.isDue(2200)).toBe(true);
    mending.mended(2300);
    expect(mending.due).toBeUndefined();
    mending.lost(5000);
    expect(mending.isDue(5000 + DOUBT_MS)).toBe(true);
  });

  test('not again just because the loss is noticed after the camera asked', () => {
    const mending = new Mending();
    mending.changed(0);
    mending.asked(0);
    mending.answered(200);
    mending.failed(300);
    expect(mending.isDue(999)).toBe(false);
    expect(mending.isDue(1000)).toBe(true);
  });

  test('only so often for a better one', () => {
    const mending = new Mending();
    mending.changed(0);
    let asked = 0;
    for (; mending.due !== undefined && asked < 100; asked += 1) mending.asked(mending.due);
    expect(asked).toBe(5);
  });

  test('but not for ever', () => {
    const mending = new Mending();
    mending.lost(1000);
    expect(mending.isHopeless(1000 + GIVE_UP_MS - 1)).toBe(false);
    expect(mending.isHopeless(1000 + GIVE_UP_MS)).toBe(true);
    mending.mended(1000 + GIVE_UP_MS);
    expect(mending.isHopeless(2 * GIVE_UP_MS)).toBe(false);
  });
});
