/**
 * Who is at the other end: verifies the proof a camera sends with its answer.
 *
 * The broker and everything between carry messages but are not trusted. The camera signs (JWS, ES256: RFC 7515 and
 * RFC 7518 section 3.4) the session, its own name and both DTLS fingerprints; we check the signature with the keys that
 * the control plane's API names over HTTPS, and every claim against what we ourselves know. This happens before the
 * answer is applied, so an untrusted answer never yields a picture.
 *
 * A camera that renews its certificate has two keys for a while, and either may sign. One that renewed since we asked
 * signs with a key that we have not heard of: we ask once more before we call it a stranger.
 */

import { type Fingerprint, FingerprintError, fingerprintOf, parseFingerprint } from './sdp';

/** What a proof must say to be accepted. */
export interface Expected {
  /** The session id the control plane minted. */
  session: string;
  /** The device id of the camera that was asked for. */
  camera: string;
  /** The SDP of our own offer, as it was sent. */
  offer: string;
  /** The SDP of the answer that came with the proof. */
  answer: string;
}

/** Why the other end is not the camera that was asked for. The message is shown to the person as it is. */
export class Untrusted extends Error {}

/** The keys that the control plane names for one camera. */
export interface Keys {
  /** As they were when somebody last asked; asks where nobody has. */
  known(): Promise<readonly JsonWebKey[]>;
  /** As they are now. */
  fresh(): Promise<readonly JsonWebKey[]>;
}

const TYP = 'heron-proof+jwt';
const ES256 = { name: 'ECDSA', hash: 'SHA-256' } as const;
const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** Resolves when `proof` is the camera's own signature over exactly `expected`; otherwise throws {@link Untrusted}. */
export async function verifyProof(proof: string, keys: Keys, expected: Expected): Promise<void> {
  const jws = readJws(proof);
  const signed = (await signedByAny(jws, await keys.known())) || (await signedByAny(jws, await keys.fresh()));
  if (!signed) throw new Untrusted("The answer is not signed with this camera's key.");
  const claims = parseObject(jws.payload);
  if (claims['sid'] !== expected.session) throw new Untrusted('The camera signed another session than this one.');
  if (claims['iss'] !== expected.camera) throw new Untrusted('Another camera than this one answered.');
  requireSame(
    claims['offer_fingerprint'],
    ownFingerprint(expected.offer),
    'Our own connection key was changed on the way to the camera.',
  );
  requireSame(
    claims['answer_fingerprint'],
    answerFingerprint(expected.answer),
    'The connection offered is not the one the camera signed.',
  );
}

interface Jws {
  signed: Uint8Array<ArrayBuffer>;
  payload: string;
  signature: Uint8Array<ArrayBuffer>;
}

/** The parts of a JWS that says it is a proof. */
function readJws(token: string): Jws {
  const parts = token.split('.');
  const [header, payload, signature] = parts;
  if (parts.length !== 3 || !header || !payload || !signature) throw malformed();
  // Named here, never taken from the token: RFC 8725 section 3.1.
  const { alg, typ } = parseObject(header);
  if (alg !== 'ES256' || typ !== TYP) throw malformed();
  return { signed: new TextEncoder().encode(`${header}.${payload}`), payload, signature: fromBase64Url(signature) };
}

async function signedByAny({ signed, signature }: Jws, keys: readonly JsonWebKey[]): Promise<boolean> {
  for (const key of keys) {
    if (await crypto.subtle.verify(ES256, await importKey(key), signature, signed)) return true;
  }
  return false;
}

async function importKey(key: JsonWebKey): Promise<CryptoKey> {
  try {
    const { kty, crv, x, y } = key;
    return await crypto.subtle.importKey('jwk', { kty, crv, x, y } as JsonWebKey, P256, false, ['verify']);
  } catch {
    throw new Untrusted('The control plane holds no usable key for this camera.');
  }
}

function requireSame(claimed: unknown, ours: Fingerprint, otherwise: string): void {
  try {
    if (typeof claimed === 'string' && parseFingerprint(claimed) === ours) return;
  } catch (error) {
    if (!(error instanceof FingerprintError)) throw error;
  }
  throw new Untrusted(otherwise);
}

function ownFingerprint(offer: string): Fingerprint {
  try {
    return fingerprintOf(offer);
  } catch {
    throw new Untrusted('Our own offer names no certificate.');
  }
}

function answerFingerprint(answer: string): Fingerprint {
  try {
    return fingerprintOf(answer);
  } catch (error) {
    throw new Untrusted(`The camera's answer cannot be trusted: ${(error as Error).message}.`);
  }
}

function parseObject(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(fromBase64Url(part)));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, in words of ours.
  }
  throw malformed();
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) throw malformed();
  try {
    return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
  } catch {
    throw malformed();
  }
}

function malformed(): Untrusted {
  return new Untrusted('The camera sent no proof of who it is.');
}
