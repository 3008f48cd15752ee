/** Asks STUN and TURN servers from this browser, one connection for each URL, all at the same time. */

import type { IceServer } from '../signalling/messages';
import type { Probe } from './verdict';

/** As long as a browser itself takes to give a server up. */
const PATIENCE_MS = 11_000;

/** A URL to ask, with the credential for it. */
type Server = { url: string; username: string; credential: string };

/** Asks each URL of these servers. */
export function probe(servers: readonly IceServer[]): Promise<Probe[]> {
  return Promise.all([...distinct(servers)].map(ask));
}

/** Each URL once; a TURN server over UDP answers STUN as well, which is one more view from outside. */
function distinct(servers: readonly IceServer[]): Iterable<Server> {
  const all = new Map<string, Server>();
  for (const { urls, username, credential } of servers) {
    for (const url of urls) {
      all.set(url, { url, username, credential });
      const stun = /^turn:(.*)\?transport=udp$/.exec(url)?.[1];
      if (stun !== undefined) all.set(`stun:${stun}`, { url: `stun:${stun}`, username: '', credential: '' });
    }
  }
  return all.values();
}

async function ask({ url, username, credential }: Server): Promise<Probe> {
  const stun = url.startsWith('stun:');
  const began = performance.now();
  const mapped: string[] = [];
  let error: string | undefined;
  const peer = new RTCPeerConnection({
    iceServers: [stun ? { urls: url } : { urls: url, username, credential }],
    iceTransportPolicy: stun ? 'all' : 'relay',
  });
  // Something has to be offered for candidates to be gathered.
  peer.createDataChannel('probe');
  const answered = await new Promise<boolean>((resolve) => {
    const deadline = setTimeout(() => resolve(false), PATIENCE_MS);
    const done = (answered: boolean) => {
      clearTimeout(deadline);
      resolve(answered);
    };
    peer.onicecandidate = ({ candidate }) => {
      // The end of gathering: a server that sees us under our own address yields no candidate, and no error.
      if (candidate === null || candidate.candidate === '') return done(mapped.length > 0 || (stun && error === undefined));
      if (candidate.type !== (stun ? 'srflx' : 'relay')) return;
      mapped.push(`${candidate.address} ${candidate.port}`);
      if (!stun) done(true);
    };
    peer.onicecandidateerror = (event) => {
      error = words(event as RTCPeerConnectionIceErrorEvent);
    };
    peer.setLocalDescription().catch((reason: unknown) => {
      error = String(reason);
      done(false);
    });
  });
  peer.close();
  const ms = performance.now() - began;
  return { url, answered, mapped: stun ? mapped : [], ms, ...(error === undefined || answered ? {} : { error }) };
}

/** What the browser says of a server that did not do it; it does not tell timeouts from refusals well. */
function words({ errorCode, errorText }: RTCPeerConnectionIceErrorEvent): string {
  if (errorCode === 401 || errorCode === 403) return 'it refuses the credential';
  if (errorCode === 486 || errorCode === 508) return 'it is full';
  return errorCode === 701 ? 'it cannot be reached' : errorText || `error ${errorCode}`;
}
