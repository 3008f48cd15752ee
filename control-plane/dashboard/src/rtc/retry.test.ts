import { expect, test } from 'vitest';
import { afterEnd } from './retry';

const next = (reason: string) => afterEnd({ reason: reason as 'failed', detail: '' });

test('a broken connection is tried again, a refusal is shown', () => {
  expect(['viewer_vanished', 'no_path', 'no_answer', 'unsignalled'].map(next)).toEqual(Array(4).fill('retry'));
  expect(['camera_offline', 'camera_shutdown'].map(next)).toEqual(Array(2).fill('when_online'));
  expect(['untrusted', 'not_allowed', 'grant_refused', 'limit'].map(next)).toEqual(Array(4).fill('stop'));
});

test('a reason this version does not know is shown', () => {
  expect(next('brand_new')).toBe('stop');
});
