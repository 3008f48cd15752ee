/** The identity of a camera: its certificates, and putting it out and letting it in again. */

import { request } from './client';

export type IdentityState = 'pending' | 'active' | 'quarantined' | 'revoked';

export interface Certificate {
  serial: string;
  /** SHA-256, hexadecimal. */
  fingerprint: string;
  issued_ms: number;
  not_after_ms: number;
  state: 'pending' | 'active' | 'superseded' | 'revoked' | 'expired';
  first_used_ms: number | null;
  /** Why it was revoked. */
  reason: string | null;
}

export interface Identity {
  state: IdentityState;
  /** Why it is kept out. */
  reason: string | null;
  since_ms: number | null;
  renew_after_ms: number | null;
  /** Newest first. */
  certificates: Certificate[];
}

/** A camera came, went, or came again. */
export interface Connection {
  at_ms: number;
  online: boolean;
  /** Why it went, or why it had been away. */
  reason: string | null;
  boot_id: string;
  firmware: string;
}

const path = (id: string) => `/cameras/${encodeURIComponent(id)}`;

export const identityOf = (id: string): Promise<Identity> => request('GET', `${path(id)}/identity`);

export const connectionsOf = async (id: string, limit = 50): Promise<Connection[]> =>
  (await request<{ connections: Connection[] }>('GET', `${path(id)}/connections?limit=${limit}`)).connections;

export const revoke = (id: string, reason: string): Promise<void> => request('POST', `${path(id)}/revoke`, { reason });

export const quarantine = (id: string, reason: string): Promise<void> =>
  request('POST', `${path(id)}/quarantine`, { reason });

export const release = (id: string): Promise<void> => request('POST', `${path(id)}/release`);
