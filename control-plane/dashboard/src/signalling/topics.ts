/** The three topics of a browser's own tree, `view/1/{tenant}/{browser}/...`. */

/** Who this browser is on the broker. */
export interface BrowserIdentity {
  tenant: string;
  browser: string;
}

const tree = ({ tenant, browser }: BrowserIdentity) => `view/1/${tenant}/${browser}`;

/** Everything that is sent to this browser. */
export const everythingDown = (identity: BrowserIdentity): string => `${tree(identity)}/dn/#`;

/** Where this browser speaks of a call. */
export const callUp = (identity: BrowserIdentity, call: string): string => `${tree(identity)}/up/rtc/${call}`;

/** What a topic below `dn/` is about. */
export type Down = { about: 'call'; call: string } | { about: 'camera'; device: string };

/** Reads a topic below this browser's `dn/`; `undefined` for one this version does not know. */
export function readDown(identity: BrowserIdentity, topic: string): Down | undefined {
  const prefix = `${tree(identity)}/dn/`;
  if (!topic.startsWith(prefix)) return undefined;
  const [family, id, more] = topic.slice(prefix.length).split('/');
  if (!id || more !== undefined) return undefined;
  if (family === 'rtc') return { about: 'call', call: id };
  if (family === 'camera') return { about: 'camera', device: id };
  return undefined;
}

/** A new call id: 128 random bits in hex. */
export function newCallId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
