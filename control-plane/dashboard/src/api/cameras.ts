/** Cameras, as the API has them. */

import type { Keys } from '../rtc/trust';
import { request } from './client';

/** Whether a camera may take part. */
export type Standing = 'trusted' | 'quarantined' | 'revoked';

export interface Camera {
  id: string;
  name: string;
  standing: Standing;
  online: boolean;
  reason: string | null;
  since_ms: number | null;
  firmware: string | null;
  viewers: number;
  /** What it reports of itself, by section. */
  state: Record<string, unknown>;
}

export interface CameraDetail extends Camera {
  /** The keys of its certificates that are valid now: two during a renewal, none while it is kept out. */
  identity_keys: JsonWebKey[];
}

export interface AddedCamera {
  id: string;
  name: string;
  /** The device bundle; the API shows it this once. */
  bundle: string;
}

export const listCameras = async (): Promise<Camera[]> =>
  (await request<{ cameras: Camera[] }>('GET', '/cameras')).cameras;

export const addCamera = (name: string): Promise<AddedCamera> => request('POST', '/cameras', { name });

export const removeCamera = (id: string): Promise<void> => request('DELETE', `/cameras/${encodeURIComponent(id)}`);

const asked = new Map<string, Promise<readonly JsonWebKey[]>>();

/** The keys that the camera's proofs may be signed with; asked for once, so that a start need not wait for them again. */
export const identityKeys = (id: string): Keys => ({
  known: () => asked.get(id) ?? ask(id),
  fresh: () => ask(id),
});

function ask(id: string): Promise<readonly JsonWebKey[]> {
  const keys = request<CameraDetail>('GET', `/cameras/${encodeURIComponent(id)}`).then((camera) => camera.identity_keys);
  asked.set(id, keys);
  // A failure is not an answer: the next start asks again.
  keys.catch(() => asked.delete(id));
  return keys;
}

/** Forgets the keys: another person may sign in. */
export const forgetIdentityKeys = (): void => asked.clear();
