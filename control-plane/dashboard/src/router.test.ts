import { expect, test } from 'vitest';
import { parseRoute } from './router';

test('addresses lead to pages', () => {
  expect(parseRoute('/')).toEqual({ page: 'cameras' });
  expect(parseRoute('/cameras')).toEqual({ page: 'cameras' });
  expect(parseRoute('/cameras/front-door-01')).toEqual({ page: 'live', device: 'front-door-01' });
  expect(parseRoute('/sessions')).toEqual({ page: 'sessions' });
});

test('what is not a page is said to be none', () => {
  for (const path of ['/cameras/short', '/cameras/UPPER-CASE', '/cameras/front-door-01/x', '/nowhere', '/cameras/a%2Fb']) {
    expect(parseRoute(path)).toEqual({ page: 'unknown' });
  }
});
