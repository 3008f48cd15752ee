/** What a test of a network found: a browser's own, or the one a camera reports of itself. */

export type CheckState = 'ok' | 'warning' | 'failed' | 'skipped';

export interface Check {
  name: string;
  state: CheckState;
  /** What is so. */
  sentence: string;
  /** What to do about it. */
  advice?: string;
}

/** What a camera's own test found, and when. */
export interface CameraTest {
  at_ms: number;
  checks: Check[];
}

const STATES: readonly string[] = ['ok', 'warning', 'failed', 'skipped'];
const MOST_CHECKS = 64;

/** Reads the test that a camera reports; `undefined` where there is none, or none that is understood. */
export function readCameraTest(value: unknown): CameraTest | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { at_ms, checks } = value as Record<string, unknown>;
  if (typeof at_ms !== 'number' || !Array.isArray(checks)) return undefined;
  return { at_ms, checks: checks.slice(0, MOST_CHECKS).flatMap(readCheck) };
}

function readCheck(value: unknown): Check[] {
  if (typeof value !== 'object' || value === null) return [];
  const { name, state, sentence, advice } = value as Record<string, unknown>;
  if (typeof name !== 'string' || typeof sentence !== 'string') return [];
  if (typeof state !== 'string' || !STATES.includes(state)) return [];
  return [{ name: NAMES[name] ?? name, state: state as CheckState, sentence, ...(typeof advice === 'string' && advice !== '' ? { advice } : {}) }];
}

/** What a camera's checks are called; one of a newer camera by its own name. */
const NAMES: Record<string, string> = {
  dns: 'Names (DNS)',
  clock: 'Clock',
  control_plane: 'Control plane',
  broker: 'Broker',
  stun: 'STUN over UDP',
  nat_mapping: 'Router (NAT): outside ports',
  nat_filtering: 'Router (NAT): who is let in',
  turn_udp: 'Relay over UDP',
  turn_tcp: 'Relay over TCP',
  turn_tls: 'Relay over TLS',
  uplink: 'Speed to the outside',
  ipv6: 'IPv6',
  mtu: 'Packet size',
};

/** The worst of them, which sums them up. */
export function worst(checks: readonly Check[]): CheckState {
  if (checks.some(({ state }) => state === 'failed')) return 'failed';
  if (checks.some(({ state }) => state === 'warning')) return 'warning';
  return checks.some(({ state }) => state === 'ok') ? 'ok' : 'skipped';
}
