/** Pairing codes, as a camera shows them and as people type them. Pure. */

/** Crockford's base 32: no letter that can be taken for another. */
const ALPHABET = /^[0-9A-HJKMNP-TV-Z]{8}$/;

/** The code in a text, as `ABCD-EFGH`; the whole address from the camera's QR code is understood, too. */
export function readCode(text: string): string | undefined {
  const typed = /\/pair\/([^/?#]+)/.exec(text)?.[1] ?? text;
  const letters = typed
    .toUpperCase()
    .replaceAll(/[\s-]/g, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1');
  return ALPHABET.test(letters) ? `${letters.slice(0, 4)}-${letters.slice(4)}` : undefined;
}
