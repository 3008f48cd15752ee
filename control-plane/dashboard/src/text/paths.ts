/** Paths between viewer and camera, in words. */

import type { CandidateKind, Path } from '../signalling/messages';

/** A TURN server's URL, taken apart (RFC 7065). */
export interface Relay {
  host: string;
  port: number;
  transport: 'UDP' | 'TCP' | 'TLS';
}

/** Reads `turn:host:port?transport=udp`; `undefined` for anything else. */
export function readRelay(url: string): Relay | undefined {
  const parts = /^(turns?):(\[[0-9a-fA-F:.]+\]|[^:?]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/.exec(url);
  const [, scheme, host, port, transport] = parts ?? [];
  if (scheme === undefined || host === undefined) return undefined;
  const secure = scheme === 'turns';
  return {
    host,
    port: port === undefined ? (secure ? 5349 : 3478) : Number(port),
    transport: secure ? 'TLS' : transport === 'tcp' ? 'TCP' : 'UDP',
  };
}

/** `the relay turn.example over TLS`. */
export function relayWords(url: string | null | undefined): string {
  const relay = url ? readRelay(url) : undefined;
  return relay ? `the relay ${relay.host} over ${relay.transport}` : 'a relay';
}

/** The path in a sentence. */
export function pathSentence(path: Path): string {
  if (path.local === 'relay') return `The picture comes through ${relayWords(path.relay)}.`;
  if (path.remote === 'relay') return "The picture comes through a relay at the camera's end.";
  const tcp = path.protocol === 'tcp' ? ', over TCP as UDP does not get through' : '';
  if (path.local === 'host' && path.remote === 'host') return `The picture comes directly from the camera${tcp}.`;
  return `The picture comes directly from the camera, through routers in between${tcp}.`;
}

const KINDS: Record<string, string> = { host: 'Direct', reflexive: 'Direct, through NAT', relay: 'Relayed' };

/** A stored kind of path: host, reflexive or relay; or that of an older session. */
export function kindWords(kind: string | null, path: string | null): string | undefined {
  if (kind !== null) return KINDS[kind] ?? kind;
  if (path === null) return undefined;
  return path === 'relayed' ? 'Relayed' : 'Direct';
}

const CANDIDATES: Record<CandidateKind, string> = {
  host: 'Own address',
  srflx: 'Outside its router',
  prflx: 'Seen by the other end',
  relay: 'At a relay',
};

/** What kind of address a candidate is. */
export const candidateWords = (kind: string): string => CANDIDATES[kind as CandidateKind] ?? kind;
