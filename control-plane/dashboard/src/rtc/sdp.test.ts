import { describe, expect, test } from 'vitest';
import { FingerprintError, fingerprintOf, parseFingerprint } from './sdp';

// RFC 8122, section 5, gives this example for SHA-256.
const EXAMPLE =
  'SHA-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD';
const LINE = `a=fingerprint:${EXAMPLE}\r\n`;

describe('a fingerprint', () => {
  test('is written one way, whatever case it came in', () => {
    const written = parseFingerprint(EXAMPLE);
    expect(written).toBe(EXAMPLE.replace('SHA', 'sha'));
    expect(parseFingerprint(EXAMPLE.toLowerCase())).toBe(written);
  });

  test.each([
    '',
    'sha-256',
    'sha-1 12:DF',
    EXAMPLE.slice(0, -3),
    `${EXAMPLE}:00`,
    EXAMPLE.replace('12:DF', '12:DG'),
    EXAMPLE.replaceAll(':', ''),
  ])('is refused when malformed: %j', (text) => {
    expect(() => parseFingerprint(text)).toThrow(FingerprintError);
  });
});

describe('an SDP', () => {
  test('must name exactly one certificate', () => {
    expect(fingerprintOf(`v=0\r\n${LINE}m=audio\r\n${LINE}`)).toBe(parseFingerprint(EXAMPLE));
    expect(() => fingerprintOf('v=0\r\n')).toThrow('no certificate');
    expect(() => fingerprintOf(LINE + LINE.replace('12:DF', '12:DE'))).toThrow('two certificates');
    expect(() => fingerprintOf(`${LINE}a=fingerprint:sha-1 12:DF\r\n`)).toThrow('sha-256');
  });

  test('may end its lines with CR, LF or both, so that no reader sees another certificate than we do', () => {
    const hidden = LINE.replace('12:DF', '12:DE').trim();
    for (const end of ['\n', '\r', '\r\n']) {
      expect(() => fingerprintOf(`${LINE}a=x${end}${hidden}${end}`)).toThrow('two certificates');
    }
  });
});
