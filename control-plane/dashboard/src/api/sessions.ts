/** Stored video sessions. */

import { request } from './client';

export interface SessionPhases {
  signal_ms: number | null;
  ice_ms: number | null;
  dtls_ms: number | null;
  first_packet_ms: number | null;
  first_frame_ms: number | null;
}

export interface VideoSession {
  id: string;
  camera: string;
  camera_name: string | null;
  person: string;
  person_name: string | null;
  opened_ms: number;
  ended_ms: number | null;
  /** `direct` or `relayed`. */
  path: string | null;
  /** `host`, `reflexive` or `relay`; not of older sessions. */
  kind: string | null;
  /** The URL of the TURN server on the way. */
  relay: string | null;
  restarts: number;
  phases: SessionPhases;
  bytes: number;
  relayed_bytes: number | null;
  end: string | null;
  end_reason: string | null;
}

/** A path as one end sees it. */
export interface SeenPath {
  local: string;
  remote: string;
  protocol: string;
  local_address: string | null;
  remote_address: string | null;
  relay: string | null;
}

export interface TriedPair extends SeenPath {
  state: 'waiting' | 'in_progress' | 'succeeded' | 'failed';
  chosen: boolean;
}

export type PhaseTimes = Record<
  | 'granted_ms'
  | 'opened_ms'
  | 'answered_ms'
  | 'gathered_ms'
  | 'ice_ms'
  | 'dtls_ms'
  | 'first_packet_ms'
  | 'first_frame_ms',
  number | null
>;

export interface VideoSessionDetail extends VideoSession {
  device_path: SeenPath | null;
  viewer_path: SeenPath | null;
  /** Since the camera was asked. */
  device_phases: PhaseTimes;
  /** Since the click. */
  viewer_phases: PhaseTimes;
  pairs: TriedPair[];
}

export const recentSessions = async (limit = 100): Promise<VideoSession[]> =>
  (await request<{ sessions: VideoSession[] }>('GET', `/sessions?limit=${limit}`)).sessions;

export const videoSession = (id: string): Promise<VideoSessionDetail> =>
  request('GET', `/sessions/${encodeURIComponent(id)}`);
