/** Key and certificate fingerprints as a person compares them. */

/** In groups of four, which an eye can follow: `ab12 cd34 …`. */
export const fingerprint = (hex: string): string => (hex.match(/.{1,4}/g) ?? []).join(' ');
