/** How sessions found their way. */

import { request } from './client';

export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
}

export interface PathOverview {
  sessions: number;
  shown: number;
  restarts: number;
  relayed_bytes: number;
  relayed_share: number | null;
  kinds: { kind: string; sessions: number; first_frame_ms: Percentiles | null }[];
  relays: { url: string; sessions: number }[];
  failures: { reason: string; sessions: number; before_picture: number }[];
}

/** Of sessions opened then or later, of all cameras or of one. */
export const pathOverview = (sinceMs: number, camera: string): Promise<PathOverview> => {
  const query = new URLSearchParams({ since_ms: String(Math.round(sinceMs)), ...(camera === '' ? {} : { camera }) });
  return request('GET', `/paths?${query}`);
};
