/** The pages and their addresses, over the browser's history. */

import { createSignal } from 'solid-js';
import { readCode } from './text/code';

export type Route =
  | { page: 'cameras' }
  | { page: 'live'; device: string }
  | { page: 'identity'; device: string }
  | { page: 'pair'; code: string }
  | { page: 'sessions' }
  | { page: 'session'; session: string }
  | { page: 'paths' }
  | { page: 'network' }
  | { page: 'unknown' };

const SESSION = /^[0-9a-f]{32}$/;
const DEVICE = /^[a-z0-9-]{8,40}$/;

/** The page of an address. */
export function parseRoute(path: string): Route {
  const parts = path.split('/').filter((part) => part !== '');
  const [first, second, more] = parts;
  if (first === undefined || (first === 'cameras' && second === undefined)) return { page: 'cameras' };
  if (first === 'cameras' && second !== undefined && DEVICE.test(second)) {
    if (more === undefined) return { page: 'live', device: second };
    if (more === 'identity' && parts.length === 3) return { page: 'identity', device: second };
  }
  if (first === 'pair' && second !== undefined && more === undefined) {
    const code = readCode(second);
    if (code !== undefined) return { page: 'pair', code };
  }
  if (first === 'sessions' && second === undefined) return { page: 'sessions' };
  if (first === 'sessions' && second !== undefined && more === undefined && SESSION.test(second)) {
    return { page: 'session', session: second };
  }
  if (first === 'paths' && second === undefined) return { page: 'paths' };
  if (first === 'network' && second === undefined) return { page: 'network' };
  return { page: 'unknown' };
}

const [path, setPath] = createSignal(globalThis.location?.pathname ?? '/');
let lastMove: number | undefined;

/** The page shown now. */
export const route = (): Route => parseRoute(path());

/** When the person asked for the page shown now, on the page's clock; `undefined` for the page first loaded. */
export const movedAt = (): number | undefined => lastMove;

/** Goes to an address; `asked` is when the person did so, on the page's clock. */
export function go(to: string, asked = performance.now()): void {
  if (to === path()) return;
  lastMove = asked;
  history.pushState(null, '', to);
  setPath(to);
}

/** Follows the browser's back and forward buttons. */
export function followHistory(): void {
  window.addEventListener('popstate', () => {
    lastMove = performance.now();
    setPath(location.pathname);
  });
}
