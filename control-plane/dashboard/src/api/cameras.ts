/** Cameras, as the API has them. */

import { request } from './client';

export interface Camera {
  id: string;
  name: string;
  online: boolean;
  reason: string | null;
  since_ms: number | null;
  firmware: string | null;
  viewers: number;
}

export interface CameraDetail extends Camera {
  /** The key that this camera's proofs must be signed with. */
  identity_key: JsonWebKey;
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

const keys = new Map<string, Promise<JsonWebKey>>();

/** The camera's identity key; asked for once, so that a start need not wait for it again. */
export function identityKey(id: string): Promise<JsonWebKey> {
  const known = keys.get(id);
  if (known) return known;
  const asked = request<CameraDetail>('GET', `/cameras/${encodeURIComponent(id)}`).then((camera) => camera.identity_key);
  keys.set(id, asked);
  // A failure is not an answer: the next start asks again.
  asked.catch(() => keys.delete(id));
  return asked;
}

/** Forgets the keys: another person may sign in, or a camera was given a new certificate. */
export function forgetIdentityKeys(id?: string): void {
  if (id === undefined) keys.clear();
  else keys.delete(id);
}
