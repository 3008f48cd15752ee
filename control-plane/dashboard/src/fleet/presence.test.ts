import { expect, test } from 'vitest';
import type { Camera } from '../api/cameras';
import type { CameraUpdate } from '../signalling/messages';
import { inOrder, withUpdate } from './presence';

const camera: Camera = {
  ...{ id: 'front-door-01', name: 'Front door', standing: 'trusted', online: true, reason: null },
  ...{ since_ms: 1000, firmware: '0.1.0', viewers: 0, state: {} },
};

const update = (online: boolean, since_ms: number): CameraUpdate => ({
  since_ms,
  viewers: null,
  state: {},
  presence: {
    ...{ online, firmware: '0.2.0', boot_id: 'b', seq: 1, at_ms: 0 },
    ...(online ? {} : { reason: 'connection_lost' as const }),
  },
});

test('an update changes presence, reason and firmware', () => {
  expect(withUpdate(camera, update(false, 2000))).toMatchObject({
    ...{ online: false, reason: 'connection_lost', since_ms: 2000, firmware: '0.2.0', name: 'Front door' },
  });
  expect(withUpdate(withUpdate(camera, update(false, 2000)), update(true, 3000))).toMatchObject({
    ...{ online: true, reason: null },
  });
});

test('an older update, or one that says nothing of presence, changes nothing', () => {
  expect(withUpdate(camera, update(false, 999))).toBe(camera);
  expect(withUpdate(camera, { presence: null, since_ms: 5000, viewers: null, state: {} })).toBe(camera);
});

test('cameras that are online come first', () => {
  const named = (name: string, online: boolean) => ({ ...camera, id: name, name, online });
  const list = [named('b', false), named('d', true), named('a', false), named('c', true)];
  expect(inOrder(list).map(({ name }) => name)).toEqual(['c', 'd', 'a', 'b']);
});

test('viewers come with the telemetry, and an absent camera has none', () => {
  const watched = withUpdate(camera, { presence: null, since_ms: 0, viewers: 2, state: {} });
  expect(watched.viewers).toBe(2);
  expect(withUpdate(watched, update(false, 2000)).viewers).toBe(0);
});

test('what a camera reports of itself comes section by section', () => {
  const update = { presence: null, since_ms: 0, viewers: null };
  const first = withUpdate(camera, { ...update, state: { video: { width: 1280 } } });
  expect(withUpdate(first, { ...update, state: { network: { self_test: 1 } } }).state).toEqual({
    ...{ video: { width: 1280 }, network: { self_test: 1 } },
  });
});
