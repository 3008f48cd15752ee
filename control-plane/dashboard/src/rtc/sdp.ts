/**
 * What the page needs to read from an SDP: the DTLS certificate fingerprint (RFC 8122), SHA-256 only.
 *
 * The rules are the camera's own: every `a=fingerprint` line must be SHA-256, well formed, and the same, so that
 * "the fingerprint of this SDP" has one meaning on both ends.
 */

/** A fingerprint in its one written form: `sha-256 AB:CD:...`. */
export type Fingerprint = string & { readonly __fingerprint: unique symbol };

/** Why an SDP or a text gives no fingerprint; the message is one a person can read. */
export class FingerprintError extends Error {}

const FORM = /^sha-256 ([0-9a-f]{2}:){31}[0-9a-f]{2}$/i;

/** Reads `sha-256 AB:CD:...` in any letter case. */
export function parseFingerprint(text: string): Fingerprint {
  const trimmed = text.trim();
  if (!FORM.test(trimmed)) {
    throw new FingerprintError('a fingerprint must be "sha-256" and 32 hex pairs joined by colons');
  }
  const [algorithm = '', digest = ''] = trimmed.split(' ');
  return `${algorithm.toLowerCase()} ${digest.toUpperCase()}` as Fingerprint;
}

/** The one fingerprint of an SDP. */
export function fingerprintOf(sdp: string): Fingerprint {
  let found: Fingerprint | undefined;
  for (const line of sdp.split(/\r\n|\r|\n/)) {
    if (!line.startsWith('a=fingerprint:')) continue;
    const current = parseFingerprint(line.slice('a=fingerprint:'.length));
    if (found !== undefined && found !== current) {
      throw new FingerprintError('the SDP names two certificates; one for all media is allowed');
    }
    found = current;
  }
  if (found === undefined) throw new FingerprintError('the SDP names no certificate');
  return found;
}
