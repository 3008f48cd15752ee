import { expect, test } from 'vitest';
import { Phases } from './phases';

test('phases count from the click, and only their first end counts', () => {
  const phases = new Phases(1000);
  expect(phases.end('opened', 1020.26)).toBe(true);
  expect(phases.end('opened', 1500)).toBe(false);
  expect(phases.end('first_frame', 1180)).toBe(true);
  expect(phases.report()).toEqual({
    opened_ms: 20.3,
    answered_ms: null,
    ice_ms: null,
    dtls_ms: null,
    first_frame_ms: 180,
  });
});
