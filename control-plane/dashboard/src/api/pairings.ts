/** Devices that show a pairing code and wait for somebody to say yes or no. */

import { request } from './client';

export interface Pairing {
  code: string;
  serial: string | null;
  model: string | null;
  /** SHA-256 of its public key, hexadecimal. */
  key_fingerprint: string;
  address: string;
  asked_ms: number;
  expires_ms: number;
  state: 'waiting' | 'confirmed' | 'refused';
  /** The device id, once confirmed. */
  camera: string | null;
}

const path = (code: string) => `/pairings/${encodeURIComponent(code)}`;

export const pairingOf = (code: string): Promise<Pairing> => request('GET', path(code));

/** Says yes; resolves with the device id that it becomes. */
export const confirmPairing = async (code: string, name: string): Promise<string> =>
  (await request<{ camera: string }>('POST', `${path(code)}/confirm`, { name })).camera;

export const refusePairing = (code: string): Promise<void> => request('POST', `${path(code)}/refuse`);
