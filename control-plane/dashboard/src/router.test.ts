import { expect, test } from 'vitest';
import { parseRoute } from './router';

test('addresses lead to pages', () => {
  expect(parseRoute('/')).toEqual({ page: 'cameras' });
  expect(parseRoute('/cameras')).toEqual({ page: 'cameras' });
  expect(parseRoute('/cameras/front-door-01')).toEqual({ page: 'live', device: 'front-door-01' });
  expect(parseRoute('/cameras/front-door-01/identity')).toEqual({ page: 'identity', device: 'front-door-01' });
  expect(parseRoute('/pair/ab3d90gh')).toEqual({ page: 'pair', code: 'AB3D-90GH' });
  expect(parseRoute('/sessions')).toEqual({ page: 'sessions' });
  const session = '0123456789abcdef0123456789abcdef';
  expect(parseRoute(`/sessions/${session}`)).toEqual({ page: 'session', session });
  expect(parseRoute('/paths')).toEqual({ page: 'paths' });
  expect(parseRoute('/network')).toEqual({ page: 'network' });
});

test('what is not a page is said to be none', () => {
  const cameras = ['/cameras/short', '/cameras/UPPER-CASE', '/cameras/front-door-01/x', '/cameras/a%2Fb'];
  const others = ['/sessions/1', '/paths/x', '/cameras/front-door-01/identity/x', '/pair', '/pair/AB3D', '/pair/AB3D-90GH/x', '/nowhere'];
  for (const path of [...cameras, ...others]) expect(parseRoute(path)).toEqual({ page: 'unknown' });
});
