import { beforeAll, describe, expect, test } from 'vitest';
import { type Expected, type Keys, Untrusted, verifyProof } from './trust';

const fingerprint = (byte: string) => `sha-256 ${Array(32).fill(byte).join(':')}`;
const sdp = (byte: string) => `v=0\r\na=fingerprint:${fingerprint(byte)}\r\nm=video\r\n`;

const EXPECTED: Expected = {
  session: '0123456789abcdef0123456789abcdef',
  camera: 'front-door-01',
  offer: sdp('01'),
  answer: sdp('02'),
};

const CLAIMS = {
  sid: EXPECTED.session,
  iss: EXPECTED.camera,
  offer_fingerprint: fingerprint('01'),
  answer_fingerprint: fingerprint('02'),
};

const HEADER = { typ: 'heron-proof+jwt', alg: 'ES256' };

function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

const part = (value: unknown) => base64Url(new TextEncoder().encode(JSON.stringify(value)));

async function keys(): Promise<{ pair: CryptoKeyPair; jwk: JsonWebKey }> {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  return { pair, jwk: await crypto.subtle.exportKey('jwk', pair.publicKey) };
}

async function sign(pair: CryptoKeyPair, claims: object = CLAIMS, header: object = HEADER): Promise<string> {
  const signed = `${part(header)}.${part(claims)}`;
  const algorithm = { name: 'ECDSA', hash: 'SHA-256' };
  const signature = await crypto.subtle.sign(algorithm, pair.privateKey, new TextEncoder().encode(signed));
  return `${signed}.${base64Url(new Uint8Array(signature))}`;
}

let camera: { pair: CryptoKeyPair; jwk: JsonWebKey };
beforeAll(async () => {
  camera = await keys();
});

/** A control plane that names these keys, and named others when it was asked before. */
const named = (now: JsonWebKey[], before = now): Keys => ({ known: async () => before, fresh: async () => now });

const refusal = async (proof: string, key = camera.jwk, expected = EXPECTED) => {
  const error: unknown = await verifyProof(proof, named([key]), expected).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Untrusted);
  return (error as Untrusted).message;
};

describe('a proof', () => {
  test('of the camera itself is accepted', async () => {
    await verifyProof(await sign(camera.pair), named([camera.jwk]), EXPECTED);
  });

  test('is the same in any letter case of the fingerprints', async () => {
    const offer = EXPECTED.offer.toLowerCase();
    await verifyProof(await sign(camera.pair), named([camera.jwk]), { ...EXPECTED, offer });
  });

  test.each([
    ['sid', 'f'.repeat(32), /another session/],
    ['iss', 'back-door-01', /another camera/i],
    ['offer_fingerprint', fingerprint('03'), /our own connection key/i],
    ['answer_fingerprint', fingerprint('03'), /not the one the camera signed/],
  ])('that signs another %s is refused', async (claim, value, words) => {
    expect(await refusal(await sign(camera.pair, { ...CLAIMS, [claim]: value }))).toMatch(words);
  });

  test.each(['sid', 'iss', 'offer_fingerprint', 'answer_fingerprint'])('without %s is refused', async (claim) => {
    for (const value of [undefined, null, 7, '']) {
      await refusal(await sign(camera.pair, { ...CLAIMS, [claim]: value }));
    }
  });

  test('for another answer or offer than what travelled is refused', async () => {
    const proof = await sign(camera.pair);
    expect(await refusal(proof, camera.jwk, { ...EXPECTED, answer: sdp('04') })).toMatch(/not the one/);
    expect(await refusal(proof, camera.jwk, { ...EXPECTED, offer: sdp('04') })).toMatch(/our own/i);
  });

  test('does not cover an answer with a second certificate', async () => {
    const answer = EXPECTED.answer + `a=fingerprint:${fingerprint('03')}\r\n`;
    expect(await refusal(await sign(camera.pair), camera.jwk, { ...EXPECTED, answer })).toMatch(/two certificates/);
  });

  test('of a stranger is refused', async () => {
    const stranger = await keys();
    expect(await refusal(await sign(stranger.pair))).toMatch(/not signed with this camera's key/);
  });

  test('whose claims were changed after signing is refused', async () => {
    const [header, , signature] = (await sign(camera.pair)).split('.');
    const forged = [header, part({ ...CLAIMS, iat: 1 }), signature].join('.');
    expect(await refusal(forged)).toMatch(/not signed with/);
  });

  test('cannot choose its own algorithm or be another kind of token', async () => {
    for (const header of [{ ...HEADER, alg: 'none' }, { ...HEADER, alg: 'HS256' }, { ...HEADER, typ: 'heron-grant+jwt' }]) {
      expect(await refusal(await sign(camera.pair, CLAIMS, header))).toMatch(/no proof/);
    }
    const unsigned = `${part({ ...HEADER, alg: 'none' })}.${part(CLAIMS)}.`;
    expect(await refusal(unsigned)).toMatch(/no proof/);
  });

  test.each(['', '.', 'a.b.c', '...', 'no proof', '!.!.!'])('that is garbage is refused: %j', async (proof) => {
    await refusal(proof);
  });

  test('may be signed with either key while the camera renews its certificate', async () => {
    const next = await keys();
    for (const { pair } of [camera, next]) await verifyProof(await sign(pair), named([next.jwk, camera.jwk]), EXPECTED);
  });

  test('with a key that is newer than the ones we knew is accepted, with one that is older is not', async () => {
    const next = await keys();
    const renewed = named([next.jwk], [camera.jwk]);
    await verifyProof(await sign(next.pair), renewed, EXPECTED);
    const stranger = await sign((await keys()).pair);
    await expect(verifyProof(stranger, renewed, EXPECTED)).rejects.toThrow(/not signed with this camera's key/);
    const dropped = named([next.jwk], []);
    await expect(verifyProof(await sign(camera.pair), dropped, EXPECTED)).rejects.toThrow(Untrusted);
  });

  test('of a camera that is kept out is refused: the control plane names no key of it', async () => {
    await expect(verifyProof(await sign(camera.pair), named([]), EXPECTED)).rejects.toThrow(Untrusted);
  });

  test('needs a key the control plane vouches for', async () => {
    expect(await refusal(await sign(camera.pair), { kty: 'EC', crv: 'P-256' })).toMatch(/no usable key/);
  });
});
