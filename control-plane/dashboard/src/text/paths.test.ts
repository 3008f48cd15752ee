import { expect, test } from 'vitest';
import { kindWords, pathSentence, readRelay, relayWords } from './paths';

test('a relay says by its URL where it is and what carries it', () => {
  expect(readRelay('turn:turn.example:3478?transport=udp')).toEqual({ host: 'turn.example', port: 3478, transport: 'UDP' });
  expect(readRelay('turns:eu.example:443?transport=tcp')).toEqual({ host: 'eu.example', port: 443, transport: 'TLS' });
  expect(readRelay('turn:[2001:db8::1]')).toEqual({ host: '[2001:db8::1]', port: 3478, transport: 'UDP' });
  expect(readRelay('https://turn.example')).toBeUndefined();
  expect(relayWords('turns:eu.example:443?transport=tcp')).toBe('the relay eu.example over TLS');
  expect(relayWords(undefined)).toBe('a relay');
});

test('a path is said in words', () => {
  const direct = { local: 'host', remote: 'host', protocol: 'udp' } as const;
  expect(pathSentence(direct)).toBe('The picture comes directly from the camera.');
  expect(pathSentence({ ...direct, remote: 'srflx', protocol: 'tcp' })).toBe(
    'The picture comes directly from the camera, through routers in between, over TCP as UDP does not get through.',
  );
  const relayed = { local: 'relay', remote: 'host', protocol: 'udp', relay: 'turns:eu.example:443?transport=tcp' } as const;
  expect(pathSentence(relayed)).toBe('The picture comes through the relay eu.example over TLS.');
  expect(pathSentence({ ...direct, remote: 'relay' })).toMatch(/relay at the camera's end/);
});

test('a stored kind is said in words, that of an older session by its path', () => {
  expect(kindWords('reflexive', 'direct')).toBe('Direct, through NAT');
  expect(kindWords(null, 'relayed')).toBe('Relayed');
  expect(kindWords(null, null)).toBeUndefined();
});
