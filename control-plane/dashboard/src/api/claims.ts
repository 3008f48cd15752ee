/** Claims: files with which cameras enrol by themselves. */

import { request } from './client';

export interface NewClaim {
  /** What its cameras are called; several are numbered. */
  name?: string;
  max_uses: number;
  ttl_s: number;
}

export interface MadeClaim {
  id: string;
  /** The text of `heron-claim.toml`; the API shows it this once. */
  file: string;
  expires_ms: number;
  max_uses: number;
}

export interface Claim {
  id: string;
  name: string | null;
  uses: number;
  max_uses: number;
  expires_ms: number;
}

export const makeClaim = (claim: NewClaim): Promise<MadeClaim> => request('POST', '/claims', claim);

export const listClaims = async (): Promise<Claim[]> => (await request<{ claims: Claim[] }>('GET', '/claims')).claims;

export const withdrawClaim = (id: string): Promise<void> => request('DELETE', `/claims/${encodeURIComponent(id)}`);
