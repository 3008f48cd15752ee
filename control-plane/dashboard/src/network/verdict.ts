/** What the probes of a network mean for a person: sentences, and what to do. Pure. */

import { readRelay } from '../text/paths';
import type { Check } from './checks';

/** What came of asking one server. */
export interface Probe {
  /** The server's URL. */
  url: string;
  /** It answered. */
  answered: boolean;
  /** The addresses under which it saw us, `address port`. */
  mapped: readonly string[];
  /** How long it took, in milliseconds. */
  ms: number;
  /** What the browser says went wrong. */
  error?: string;
}

export interface Findings {
  /** How long the control plane took to answer over HTTPS, in milliseconds. */
  httpsMs: number;
  /** Whether the link for signalling is up. */
  linked: boolean;
  probes: readonly Probe[];
}

export interface Verdict {
  headline: string;
  checks: Check[];
}

/** Whether the router in between keeps one outside port for all peers (RFC 4787 section 4.1). */
export type Mapping = 'open' | 'same' | 'varies' | 'unknown';

export function mappingOf(probes: readonly Probe[]): Mapping {
  const answered = probes.filter(({ url, answered }) => url.startsWith('stun:') && answered);
  if (answered.length === 0) return 'unknown';
  // Families have mappings of their own: one each is what is looked at.
  const mapped = [...new Set(answered.flatMap((probe) => probe.mapped))].filter((address) => !address.includes(':'));
  if (mapped.length === 0) return 'open';
  if (mapped.length > 1) return 'varies';
  return answered.length > 1 ? 'same' : 'unknown';
}

export function verdict({ httpsMs, linked, probes }: Findings): Verdict {
  const stun = probes.filter(({ url }) => url.startsWith('stun:'));
  const turn = probes.filter(({ url }) => !url.startsWith('stun:'));
  const relays = turn.filter(({ answered }) => answered);
  const direct = stun.some(({ answered }) => answered);
  const headline = direct
    ? relays.length > 0 || turn.length === 0
      ? 'Pictures can come to this browser.'
      : 'Pictures can come directly, but no relay helps where that fails.'
    : relays.length > 0
      ? 'Pictures come through a relay: UDP does not get out of this network.'
      : 'Pictures cannot come to this browser from outside its own network.';
  const checks = [
    https(httpsMs),
    signalling(linked),
    ...(stun.length > 0 ? [outside(stun)] : []),
    ...(direct ? [mapping(mappingOf(probes))] : []),
    ...turn.map((probe) => relay(probe, relays.length > 0)),
  ];
  return { headline, checks };
}

function https(ms: number): Check {
  return { name: 'Control plane', state: 'ok', sentence: `The control plane answers over HTTPS in ${Math.round(ms)} ms.` };
}

function signalling(linked: boolean): Check {
  return linked
    ? { name: 'Signalling', state: 'ok', sentence: 'The link for live updates (MQTT over WebSocket) is up.' }
    : {
        ...{ name: 'Signalling', state: 'failed', sentence: 'The link for live updates (MQTT over WebSocket) is down.' },
        advice: 'A proxy or firewall in between may not let WebSockets through: allow them to this address.',
      };
}

function outside(probes: readonly Probe[]): Check {
  const answered = probes.filter(({ answered }) => answered);
  if (answered.length === 0) {
    return {
      ...{ name: 'STUN over UDP', state: 'failed', sentence: 'No STUN server answers over UDP: this network lets no UDP out.' },
      advice: `Allow UDP to ${places(probes)}; until then pictures need a relay over TCP or TLS.`,
    };
  }
  const address = answered.flatMap(({ mapped }) => mapped)[0]?.split(' ')[0];
  const seen = address === undefined ? 'there is no address translation on the way' : `outside, this network is ${address}`;
  return { name: 'STUN over UDP', state: 'ok', sentence: `STUN over UDP answers: ${seen}.` };
}

function mapping(mapping: Mapping): Check {
  const name = 'Router (NAT)';
  switch (mapping) {
    case 'open':
      return { name, state: 'ok', sentence: 'There is no NAT between this browser and the server.' };
    case 'same':
      return { name, state: 'ok', sentence: 'The router keeps one outside port for all: direct paths are likely.' };
    case 'varies':
      return {
        ...{ name, state: 'warning', sentence: 'The router takes another outside port for each peer (symmetric NAT).' },
        advice: 'Cameras behind such a router, too, are reached through a relay. IPv6, or another router, would help.',
      };
    case 'unknown':
      return { name, state: 'skipped', sentence: 'How the router maps ports takes two STUN servers to tell; there is one.' };
  }
}

function relay(probe: Probe, another: boolean): Check {
  const server = readRelay(probe.url);
  const name = `Relay over ${server?.transport ?? probe.url}`;
  const where = server ? `${server.host} on port ${server.port}` : probe.url;
  if (probe.answered) {
    return { name, state: 'ok', sentence: `The relay ${where} answers over ${server?.transport ?? 'its URL'} in ${Math.round(probe.ms)} ms.` };
  }
  const said = probe.error ? ` (${probe.error})` : '';
  const protocol = server?.transport === 'UDP' ? 'UDP' : 'TCP';
  // An exception that was clicked for the page does not count here.
  const trusted = server?.transport === 'TLS' ? ' Its certificate must be one that this browser trusts without a warning.' : '';
  return {
    ...{ name, state: another ? 'warning' : 'failed', sentence: `The relay ${where} does not answer over ${server?.transport ?? 'its URL'}${said}.` },
    advice: another
      ? `Another way to a relay works, so pictures come; allowing ${protocol} to ${where} would give them one more.${trusted}`
      : `Allow ${protocol} to ${where}.${trusted}`,
  };
}

function places(probes: readonly Probe[]): string {
  return [...new Set(probes.map(({ url }) => url.replace(/^stuns?:/, '').replace(/\?.*$/, '')))].join(' and ');
}
