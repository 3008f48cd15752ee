import { expect, test } from 'vitest';
import { callUp, everythingDown, newCallId, readDown } from './topics';

const identity = { tenant: 'home', browser: 'browser-01' };

test('topics stay in the own tree', () => {
  expect(everythingDown(identity)).toBe('view/1/home/browser-01/dn/#');
  expect(callUp(identity, 'c0ffee')).toBe('view/1/home/browser-01/up/rtc/c0ffee');
  expect(readDown(identity, 'view/1/home/browser-01/dn/rtc/c0ffee')).toEqual({ about: 'call', call: 'c0ffee' });
  expect(readDown(identity, 'view/1/home/browser-01/dn/camera/front-door-01')).toEqual({
    about: 'camera',
    device: 'front-door-01',
  });
  for (const foreign of ['view/1/home/browser-02/dn/rtc/c0ffee', 'view/1/home/browser-01/dn/rtc/a/b', 'x']) {
    expect(readDown(identity, foreign)).toBeUndefined();
  }
});

test('a call id is 128 bits that nobody had before', () => {
  expect(newCallId()).toMatch(/^[0-9a-f]{32}$/);
  expect(newCallId()).not.toBe(newCallId());
});
