/**
 * The messages of heron-protocol that a browser sends and receives, field for field (snake_case JSON).
 *
 * Whatever arrives is checked here once, so the rest of the page can rely on the types. Unknown fields are ignored,
 * as everywhere in the protocol; a message of an unknown type is refused, and the caller counts it.
 */

/** No message to or from a browser may be larger. */
export const MAX_VIEW_BYTES = 48 * 1024;

/** The protocol's limits on one batch of candidates. */
export const MAX_CANDIDATES = 64;

/** What a viewer may ask for. */
export type Right = 'view' | 'listen' | 'talk' | 'control';

export type EndReason =
  | 'viewer_closed'
  | 'viewer_vanished'
  | 'no_path'
  | 'no_answer'
  | 'camera_offline'
  | 'camera_shutdown'
  | 'grant_refused'
  | 'not_allowed'
  | 'limit'
  | 'bad_message'
  | 'failed';

/** Why an end asks for a new path. */
export type RestartReason = 'network_changed' | 'path_lost' | 'relay_lost';

export type OfflineReason =
  | 'connection_lost'
  | 'shutdown'
  | 'restart'
  | 'reboot'
  | 'power'
  | 'network'
  | 'broker'
  | 'certificate'
  | 'watchdog'
  | 'crash'
  | 'update'
  | 'thermal'
  | 'under_voltage';

export type CandidateKind = 'host' | 'srflx' | 'prflx' | 'relay';

export interface Candidate {
  candidate: string;
  sdp_mid?: string;
  sdp_m_line_index?: number;
  username_fragment?: string;
}

export interface IceServer {
  urls: string[];
  username: string;
  credential: string;
}

/** The path that packets take, as one end sees it. */
export interface Path {
  local: CandidateKind;
  remote: CandidateKind;
  protocol: string;
  local_address?: string;
  remote_address?: string;
  /** The URL of the TURN server that this end's address is at. */
  relay?: string;
}

/** When each phase of the start ended, in milliseconds since the click; `null` while it has not. */
export interface ViewerPhases {
  opened_ms: number | null;
  answered_ms: number | null;
  ice_ms: number | null;
  dtls_ms: number | null;
  first_frame_ms: number | null;
}

export interface ViewerStats {
  phases: ViewerPhases;
  path: Path | null;
  bytes_received: number;
  frames_decoded: number;
  fps: number | null;
  width: number | null;
  height: number | null;
  rtt_ms: number | null;
  latency_ms: number | null;
  freezes: number;
}

/** From the browser, on `up/rtc/{call}`. The sender numbers the messages. */
export type ViewUp =
  | { type: 'open'; camera: string; offer: string; rights: Right[] }
  | { type: 'candidates'; candidates: Candidate[] }
  | { type: 'restart'; offer: string }
  | { type: 'stats'; stats: ViewerStats }
  | { type: 'close'; reason: EndReason; detail: string };

/** To the browser, on `dn/rtc/{call}`. */
export type ViewDown = { seq: number } & (
  | { type: 'opened'; session: string; ice_servers: IceServer[]; ice_policy: 'all' | 'relay' }
  | { type: 'answer'; sdp: string; proof: string }
  | { type: 'candidates'; candidates: Candidate[] }
  | { type: 'restart_wanted'; reason: RestartReason }
  | { type: 'restarted'; ice_servers: IceServer[]; ice_policy: 'all' | 'relay' }
  | { type: 'closed'; reason: EndReason; detail: string }
);

export interface Presence {
  online: boolean;
  reason?: OfflineReason;
  firmware: string;
  boot_id: string;
  seq: number;
  at_ms: number;
}

/** To the browser, on `dn/camera/{device}`. */
export interface CameraUpdate {
  presence: Presence | null;
  since_ms: number;
  /** From the newest telemetry: connected viewers. */
  viewers: number | null;
  /** What it reports of itself, by section, where that changed. */
  state: Record<string, unknown>;
}

/** Why a message was refused. */
export class Refused extends Error {}

/** Reads a message on `dn/rtc/{call}`. */
export function readViewDown(body: Uint8Array): ViewDown {
  const message = object(parse(body), 'message');
  const seq = number(message['seq'], 'seq');
  switch (message['type']) {
    case 'opened':
      return {
        seq,
        type: 'opened',
        session: hex128(message['session'], 'session'),
        ...servers(message),
      };
    case 'restart_wanted':
      return { seq, type: 'restart_wanted', reason: text(message['reason'], 'reason') as RestartReason };
    case 'restarted':
      return { seq, type: 'restarted', ...servers(message) };
    case 'answer':
      return { seq, type: 'answer', sdp: text(message['sdp'], 'sdp'), proof: text(message['proof'], 'proof') };
    case 'candidates':
      return {
        seq,
        type: 'candidates',
        candidates: list(message['candidates'], 'candidates', MAX_CANDIDATES).map(candidate),
      };
    case 'closed':
      return {
        seq,
        type: 'closed',
        reason: text(message['reason'], 'reason') as EndReason,
        detail: optional(message['detail'], (detail) => text(detail, 'detail')) ?? '',
      };
    default:
      throw new Refused(`type must be opened, answer, candidates, restart_wanted, restarted or closed, got ${JSON.stringify(message['type'])}`);
  }
}

/** Reads a message on `dn/camera/{device}`. */
export function readCameraUpdate(body: Uint8Array): CameraUpdate {
  const message = object(parse(body), 'message');
  return {
    presence: optional(message['presence'], presence) ?? null,
    since_ms: optional(message['since_ms'], (since) => number(since, 'since_ms')) ?? 0,
    viewers: optional(message['telemetry'], viewers) ?? null,
    state: optional(message['state'], (state) => object(state, 'state')) ?? {},
  };
}

function viewers(telemetry: unknown): number | undefined {
  return optional(object(telemetry, 'telemetry')['viewers'], (viewers) => number(viewers, 'telemetry.viewers'));
}

function presence(value: unknown): Presence {
  const fields = object(value, 'presence');
  if (typeof fields['online'] !== 'boolean') throw new Refused('presence.online must be true or false');
  const reason = optional(fields['reason'], (reason) => text(reason, 'presence.reason') as OfflineReason);
  return {
    online: fields['online'],
    ...(reason === undefined ? {} : { reason }),
    firmware: text(fields['firmware'], 'presence.firmware'),
    boot_id: text(fields['boot_id'], 'presence.boot_id'),
    seq: number(fields['seq'], 'presence.seq'),
    at_ms: number(fields['at_ms'], 'presence.at_ms'),
  };
}

function servers(message: Record<string, unknown>): { ice_servers: IceServer[]; ice_policy: 'all' | 'relay' } {
  return {
    ice_servers: list(message['ice_servers'], 'ice_servers', 8).map(iceServer),
    ice_policy: message['ice_policy'] === 'relay' ? 'relay' : 'all',
  };
}

function iceServer(value: unknown): IceServer {
  const fields = object(value, 'ice_servers');
  return {
    urls: list(fields['urls'], 'urls', 8).map((url) => text(url, 'url')),
    username: optional(fields['username'], (username) => text(username, 'username')) ?? '',
    credential: optional(fields['credential'], (credential) => text(credential, 'credential')) ?? '',
  };
}

function candidate(value: unknown): Candidate {
  const fields = object(value, 'candidate');
  const mid = optional(fields['sdp_mid'], (mid) => text(mid, 'sdp_mid'));
  const index = optional(fields['sdp_m_line_index'], (index) => number(index, 'sdp_m_line_index'));
  const fragment = optional(fields['username_fragment'], (fragment) => text(fragment, 'username_fragment'));
  return {
    candidate: text(fields['candidate'], 'candidate'),
    ...(mid === undefined ? {} : { sdp_mid: mid }),
    ...(index === undefined ? {} : { sdp_m_line_index: index }),
    ...(fragment === undefined ? {} : { username_fragment: fragment }),
  };
}

function parse(body: Uint8Array): unknown {
  if (body.byteLength > MAX_VIEW_BYTES) {
    throw new Refused(`${body.byteLength} bytes, at most ${MAX_VIEW_BYTES} are allowed`);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new Refused('not JSON');
  }
}

function object(value: unknown, field: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Refused(`${field} must be an object`);
}

function text(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  throw new Refused(`${field} must be text`);
}

function number(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new Refused(`${field} must be a number`);
}

function hex128(value: unknown, field: string): string {
  if (typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)) return value;
  throw new Refused(`${field} must be 32 hex digits`);
}

function list(value: unknown, field: string, max: number): unknown[] {
  if (!Array.isArray(value)) throw new Refused(`${field} must be a list`);
  if (value.length > max) throw new Refused(`${field} has ${value.length} entries, at most ${max} are allowed`);
  return value;
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined || value === null ? undefined : read(value);
}
