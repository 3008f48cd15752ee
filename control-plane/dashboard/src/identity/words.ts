/** The states of identities and certificates, in words. Pure. */

import type { Certificate, Connection, Identity } from '../api/identity';
import { sentence } from '../text/format';
import { awayReason, offlineReason } from '../text/reasons';

/** How a word looks. */
export type Tone = 'good' | 'waiting' | 'bad' | 'plain';

export interface Word {
  text: string;
  tone: Tone;
}

const IDENTITIES: Record<Identity['state'], Word & { detail: string }> = {
  pending: { text: 'Pending', tone: 'waiting', detail: 'It has a certificate and has never connected with it.' },
  active: { text: 'Active', tone: 'good', detail: 'It is known, and takes part.' },
  quarantined: { text: 'Quarantined', tone: 'waiting', detail: 'It is kept out until somebody releases it.' },
  revoked: { text: 'Revoked', tone: 'bad', detail: 'It is kept out for ever. To use it again, remove it here and add it anew.' },
};

/** How it stands with a camera. A state of a newer version is shown as it is. */
export function identityWords({ state, reason }: Pick<Identity, 'state' | 'reason'>): Word & { detail: string; reason: string } {
  const known = IDENTITIES[state] ?? { text: sentence(state).slice(0, -1), tone: 'plain' as const, detail: '' };
  return { ...known, reason: reason === null ? '' : sentence(reason) };
}

const CERTIFICATES: Record<Certificate['state'], Word> = {
  pending: { text: 'not used yet', tone: 'waiting' },
  active: { text: 'in use', tone: 'good' },
  superseded: { text: 'superseded', tone: 'plain' },
  revoked: { text: 'revoked', tone: 'bad' },
  expired: { text: 'expired', tone: 'plain' },
};

/** How it stands with one certificate. */
export const certificateWords = (state: Certificate['state']): Word =>
  CERTIFICATES[state] ?? { text: String(state).replaceAll('_', ' '), tone: 'plain' };

const DAY_MS = 86_400_000;

/** When the camera renews the certificate in use; empty where it will not. */
export function renewal(identity: Identity, nowMs: number): string {
  if (identity.state !== 'active' || identity.renew_after_ms === null) return '';
  const days = Math.ceil((identity.renew_after_ms - nowMs) / DAY_MS);
  if (days > 1) return `It renews its certificate in ${days} days.`;
  if (days === 1) return 'It renews its certificate within a day.';
  return 'Its certificate is due for renewal: the camera does so as soon as it can.';
}

/** What happened, in a sentence of the camera's history. */
export function connectionWords({ online, reason }: Pick<Connection, 'online' | 'reason'>): string {
  if (!online) return reason === null ? 'Went offline' : `Went offline: ${offlineReason(reason)}`;
  return reason === null ? 'Connected' : `Connected again: ${awayReason(reason)}`;
}
