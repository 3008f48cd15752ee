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
  path: string | null;
  phases: SessionPhases;
  bytes: number;
  end_reason: string | null;
}

export const recentSessions = async (limit = 100): Promise<VideoSession[]> =>
  (await request<{ sessions: VideoSession[] }>('GET', `/sessions?limit=${limit}`)).sessions;
