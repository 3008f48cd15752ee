import { describe, expect, test } from 'vitest';
import { MAX_VIEW_BYTES, Refused, readCameraUpdate, readViewDown } from './messages';

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const SESSION = '0123456789abcdef0123456789abcdef';

describe('a message to the browser', () => {
  test('is read with its defaults, and fields of a newer version are ignored', () => {
    const opened = { type: 'opened', seq: 0, session: SESSION, ice_servers: [{ urls: ['turn:a'] }], ice_policy: 'relay' };
    expect(readViewDown(bytes({ ...opened, brand_new: true }))).toEqual({
      ...opened,
      ice_servers: [{ urls: ['turn:a'], username: '', credential: '' }],
    });
    expect(readViewDown(bytes({ type: 'closed', seq: 3, reason: 'limit' }))).toMatchObject({ detail: '' });
    expect(readViewDown(bytes({ type: 'restarted', seq: 4, ice_servers: [{ urls: ['stun:a'] }] }))).toEqual({
      ...{ type: 'restarted', seq: 4, ice_policy: 'all' },
      ice_servers: [{ urls: ['stun:a'], username: '', credential: '' }],
    });
    const wanted = { type: 'restart_wanted', seq: 5, reason: 'network_changed' };
    expect(readViewDown(bytes(wanted))).toEqual(wanted);
    const host = { candidate: 'candidate:1', sdp_mid: '0', sdp_m_line_index: 0 };
    expect(readViewDown(bytes({ type: 'candidates', seq: 2, candidates: [host] }))).toMatchObject({ candidates: [host] });
  });

  test.each([
    ['not JSON', '{', /not JSON/],
    ['a list', [], /must be an object/],
    ['of no known type', { type: 'opend', seq: 0 }, /opened, answer/],
    ['without a number', { type: 'closed', reason: 'limit' }, /seq/],
    ['for a session that is not one', { type: 'opened', seq: 0, session: '../x', ice_servers: [] }, /32 hex/],
    ['with too many candidates', { type: 'candidates', seq: 0, candidates: Array(65).fill({ candidate: '' }) }, /at most 64/],
    ['with an answer that is no text', { type: 'answer', seq: 0, sdp: 7, proof: '' }, /sdp must be text/],
    ['that is too large', ' '.repeat(MAX_VIEW_BYTES + 1), /bytes, at most/],
  ])('%s is refused with a reason', (_, message, reason) => {
    expect(() => readViewDown(bytes(message))).toThrow(Refused);
    expect(() => readViewDown(bytes(message))).toThrow(reason);
  });
});

describe('a camera update', () => {
  const presence = { online: false, reason: 'shutdown', boot_id: 'b', firmware: '0.1.0', seq: 4, at_ms: 9 };

  test('is read with or without a presence', () => {
    expect(readCameraUpdate(bytes({ presence, since_ms: 12 }))).toEqual({ presence, since_ms: 12, viewers: null, state: {} });
    expect(readCameraUpdate(bytes({ telemetry: { viewers: 3 }, state: { network: { name: 'eth0' } } }))).toEqual({
      ...{ presence: null, since_ms: 0, viewers: 3, state: { network: { name: 'eth0' } } },
    });
  });

  test('whose presence is not one is refused', () => {
    expect(() => readCameraUpdate(bytes({ presence: { ...presence, online: 'yes' } }))).toThrow(/online/);
  });
});
