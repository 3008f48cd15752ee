/**
 * The RTCPeerConnection of a viewer: receives one video and one sound track, tuned for low delay, can send a voice, and
 * has a data channel for calls to the camera.
 */

import type { Candidate, IceServer } from '../signalling/messages';

const CONFIGURATION: RTCConfiguration = { bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' };

/** Lets a frame say when the camera took it, where the browser and the camera both know how. */
const ABSOLUTE_CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';

/** Members that browsers have, or had under another name, and the DOM types here do not. */
type Receiver = RTCRtpReceiver & { jitterBufferTarget?: number | null; playoutDelayHint?: number | null };
type HeaderExtension = { uri: string; direction: RTCRtpTransceiverDirection };
type Transceiver = RTCRtpTransceiver & {
  getHeaderExtensionsToNegotiate?(): HeaderExtension[];
  setHeaderExtensionsToNegotiate?(extensions: HeaderExtension[]): void;
};

/** A connection that is about to offer. */
export interface ViewingPeer {
  peer: RTCPeerConnection;
  /** Calls to the camera. */
  control: RTCDataChannel;
  /** Sound in, and the person's voice out if they choose to talk. */
  audio: RTCRtpTransceiver;
  /** The offer, not yet applied: gathering begins when it is. */
  offer: Promise<RTCSessionDescriptionInit>;
  /** The same, once it is made. */
  made?: RTCSessionDescriptionInit;
}

let spare: ViewingPeer | undefined;

/** Makes a connection and its offer ahead of the click that will want them: a start then need not wait for either. */
export function prepareSpare(): void {
  spare ??= makeViewingPeer();
}

/** A connection that offers to receive: the spare one if there is one. */
export function viewingPeer(): ViewingPeer {
  const taken = spare ?? makeViewingPeer();
  spare = undefined;
  return taken;
}

function makeViewingPeer(): ViewingPeer {
  const peer = new RTCPeerConnection(CONFIGURATION);
  const video: Transceiver = peer.addTransceiver('video', { direction: 'recvonly' });
  // No microphone is asked for: what is sent is nothing, until somebody talks.
  const audio: Transceiver = peer.addTransceiver('audio', { direction: 'sendrecv' });
  const control = peer.createDataChannel('control');
  preferCamerasCodecs(video);
  askForCaptureTime(video);
  for (const { receiver } of [video, audio]) showAtOnce(receiver);
  const viewing: ViewingPeer = { peer, control, audio, offer: peer.createOffer() };
  viewing.offer.then(
    (made) => (viewing.made = made),
    // Whoever takes it hears of a failure; a spare that nobody takes must not raise an alarm.
    () => undefined,
  );
  return viewing;
}

/** Takes the servers of a session into use; before the local description, so that gathering begins with them. */
export function useServers(peer: RTCPeerConnection, servers: IceServer[], policy: RTCIceTransportPolicy): void {
  peer.setConfiguration({
    ...CONFIGURATION,
    iceTransportPolicy: policy,
    iceServers: servers.map(({ urls, username, credential }) =>
      username === '' ? { urls } : { urls, username, credential },
    ),
  });
}

/** A candidate as it travels. */
export function toWire(candidate: RTCIceCandidate): Candidate {
  return {
    candidate: candidate.candidate,
    ...(candidate.sdpMid === null ? {} : { sdp_mid: candidate.sdpMid }),
    ...(candidate.sdpMLineIndex === null ? {} : { sdp_m_line_index: candidate.sdpMLineIndex }),
    ...(candidate.usernameFragment === null ? {} : { username_fragment: candidate.usernameFragment }),
  };
}

/** A candidate as it came. */
export function fromWire(candidate: Candidate): RTCIceCandidateInit {
  return {
    candidate: candidate.candidate,
    sdpMid: candidate.sdp_mid ?? null,
    sdpMLineIndex: candidate.sdp_m_line_index ?? null,
    // Without it the browser takes the current one; an empty one would match nothing.
    ...(candidate.username_fragment ? { usernameFragment: candidate.username_fragment } : {}),
  };
}

/** What a camera may send, the likeliest first, and what repairs it; the browser's others would only swell the offer. */
const WANTED = ['H264', 'H265', 'AV1', 'rtx', 'flexfec-03'].map((name) => `video/${name}`);

function preferCamerasCodecs(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const wanted = WANTED.flatMap((name) => codecs.filter(({ mimeType }) => mimeType === name));
  if (wanted.length > 0) transceiver.setCodecPreferences(wanted);
}

function askForCaptureTime(transceiver: Transceiver): void {
  const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
  const wanted = extensions?.find(({ uri }) => uri === ABSOLUTE_CAPTURE_TIME);
  if (!extensions || !wanted) return;
  wanted.direction = 'recvonly';
  transceiver.setHeaderExtensionsToNegotiate?.(extensions);
}

/** No delay beyond what the network asks for. */
function showAtOnce(receiver: Receiver): void {
  if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
  if ('playoutDelayHint' in receiver) receiver.playoutDelayHint = 0;
}
