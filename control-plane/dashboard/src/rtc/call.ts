/**
 * One attempt to watch a camera, from the offer to the end.
 *
 * ```text
 * opening -> answering -> connecting -> playing <-> interrupted
 *    |           |            |            |             |
 *    +-----------+------------+------------+-------------+--> ended (once)
 * ```
 *
 * A path that is lost, or that a change of the network makes doubtful, is looked for anew within the same session
 * ({@link Mending}): a new offer, fresh credentials, an answer with a proof of its own. The last picture stays meanwhile.
 *
 * The answer is applied only after the camera's proof was verified. Candidates that come before it wait; a message
 * whose number was seen is dropped. A call never begins anew: the player makes another one.
 */

import { type EndReason, type IceServer, MAX_CANDIDATES, type Right, type ViewDown, type ViewerStats, type ViewUp } from '../signalling/messages';
import { newCallId } from '../signalling/topics';
import { Batch } from './batch';
import { Control } from './control';
import { type Figures, figures, type ShownFrame } from './figures';
import { Mending } from './mending';
import { fromWire, toWire, useServers, viewingPeer } from './peer';
import { Phases } from './phases';
import { type Keys, Untrusted, verifyProof } from './trust';

export type CallState = 'opening' | 'answering' | 'connecting' | 'playing' | 'interrupted';

/** Why a call ended. `untrusted`: the proof did not hold. `unsignalled`: the broker could not be reached. */
export interface CallEnd {
  reason: EndReason | 'untrusted' | 'unsignalled';
  /** One sentence from whoever ended it; may be empty. */
  detail: string;
}

/** One size of the camera's picture: the full one, or the smaller one for slower paths. */
export type Rung = 'main' | 'sub';

/** What a call needs of the link. */
export interface Signals {
  hear(call: string, listener: (message: ViewDown) => void): () => void;
  say(call: string, message: ViewUp): boolean;
}

export interface CallEvents {
  state(state: CallState): void;
  media(stream: MediaStream): void;
  ended(end: CallEnd): void;
  /** The camera said something unasked on its data channel. */
  notified(method: string): void;
}

/** What is asked for; the control plane grants what this account may have. */
const RIGHTS: Right[] = ['view', 'listen', 'talk', 'control'];
/** Candidates of one network card come within a few milliseconds of each other. */
const BATCH_MS = 20;
/** About a second of frames, from which the latency is taken. */
const FRAMES_KEPT = 30;
const ANSWER_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 20_000;
/**
 * A browser that has tried all it knows says so at once, and goes on when another candidate comes: a camera that must go
 * over TCP or TLS finds its relayed address late.
 */
const LATE_CANDIDATES_MS = 8000;
const NO_PATH = 'No way through the network to the camera was found.';
/** So often it is seen to that something still comes. */
const WATCH_MS = 250;

export class Call {
  readonly phases: Phases;
  /** The session the control plane made of this call. */
  session: string | undefined;
  /** The proof held: what is shown comes from this camera. */
  trusted = false;
  readonly #id = newCallId();
  readonly #viewing = viewingPeer();
  readonly #peer = this.#viewing.peer;
  readonly #control: Control;
  readonly #stream = new MediaStream();
  readonly #outgoing = new Batch<RTCIceCandidate>(BATCH_MS, MAX_CANDIDATES);
  readonly #early: RTCIceCandidateInit[] = [];
  readonly #seen = new Set<number>();
  readonly #mute: () => void;
  #inbox = Promise.resolve();
  #offer: RTCSessionDescriptionInit | undefined;
  #state: CallState = 'opening';
  #ended = false;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #flush: ReturnType<typeof setTimeout> | undefined;
  readonly #mending = new Mending();
  #watch: ReturnType<typeof setInterval> | undefined;
  /** The offer of a restart, until the control plane has the servers for it. */
  #renewal: RTCSessionDescriptionInit | undefined;
  /** A restart is under way: candidates wait for its answer. */
  #renewing = false;
  readonly #shown: ShownFrame[] = [];
  #figures: Figures | undefined;

  /** Begins at once. `clicked` is when the person asked, `keys` what the camera's proof must be signed with. */
  constructor(
    private readonly signals: Signals,
    private readonly camera: string,
    private readonly keys: Keys,
    clicked: number,
    private readonly events: CallEvents,
  ) {
    this.phases = new Phases(clicked);
    // Here by the time of the answer; a failure is met then.
    keys.known().catch(() => undefined);
    this.#control = new Control(this.#viewing.control, (method) => this.events.notified(method));
    // Messages are handled one after the other, however long one takes.
    this.#mute = signals.hear(this.#id, (message) => {
      this.#inbox = this.#inbox.then(() => this.#receive(message)).catch((error: unknown) => this.#broke(error));
    });
    this.#listen();
    this.#endAfter(ANSWER_TIMEOUT_MS, 'no_answer', 'The camera did not answer in time.');
    void this.#open().catch((error: unknown) => this.#broke(error));
  }

  /** The picture on screen changed; the first one ends the start. */
  shown(frame: ShownFrame): boolean {
    this.#shown.push(frame);
    if (this.#shown.length > FRAMES_KEPT) this.#shown.shift();
    const first = this.phases.end('first_frame', performance.now());
    // The browser may still show what came before the path broke.
    if (!this.#mending.broken) this.#become('playing');
    return first;
  }

  /** The figures now; rates are since the last {@link measure}. */
  async figures(): Promise<Figures> {
    const report = (await this.#peer.getStats()) as unknown as Map<string, unknown>;
    return figures(report, this.#shown, this.#figures, performance.now());
  }

  /** Takes the figures that reports carry and later rates count from. */
  async measure(): Promise<Figures> {
    this.#figures = await this.figures();
    // A hidden page shows no frames, and yet they come.
    if (this.#figures.framesDecoded > 0 && this.#state === 'connecting') this.#become('playing');
    return this.#figures;
  }

  /** Tells the control plane how the session goes. */
  report(): void {
    if (this.session !== undefined) this.signals.say(this.#id, { type: 'stats', stats: this.#stats() });
    if (!this.#control.open) return;
    const { freezes = 0, frozenMs = 0 } = this.#figures ?? {};
    // The camera's own metrics know then how its viewers fare; nothing is lost when it does not take it.
    void this.call('report', { freezes, freeze_ms: frozenMs }).catch(() => undefined);
  }

  /** The size of the picture that the camera sends on this path; null when it does not say. */
  async rung(): Promise<Rung | null> {
    if (!this.#control.open) return null;
    const stats = (await this.call('stats').catch(() => null)) as { rung?: unknown } | null;
    return stats?.rung === 'main' || stats?.rung === 'sub' ? stats.rung : null;
  }

  /** Calls a method of the camera. */
  call(method: string, params?: Record<string, unknown>, patience?: number): Promise<unknown> {
    return this.#control.call(method, params, patience);
  }

  /** Whether the camera can be called now. */
  get reachable(): boolean {
    return this.#control.open;
  }

  /** Whether the camera takes this person's voice. */
  get mayTalk(): boolean {
    return this.#control.open && this.#viewing.audio.currentDirection === 'sendrecv';
  }

  /** Sends the camera this sound, or none. */
  send(track: MediaStreamTrack | null): Promise<void> {
    return this.#viewing.audio.sender.replaceTrack(track);
  }

  /** The network here changed, or the link is back: another path may be there, and may be asked for. */
  surroundingsChanged(network: boolean): void {
    if (network && this.trusted) this.#mending.changed(performance.now());
    this.#mend();
  }

  /** The viewer leaves. */
  close(): void {
    this.report();
    this.#end({ reason: 'viewer_closed', detail: '' });
  }

  async #open(): Promise<void> {
    // Said in the same moment as the click, where the offer is at hand.
    this.#offer = this.#viewing.made ?? (await this.#viewing.offer);
    if (this.#ended) return;
    const offer = this.#offer.sdp ?? '';
    const said = this.signals.say(this.#id, { type: 'open', camera: this.camera, offer, rights: RIGHTS });
    if (!said) this.#end({ reason: 'unsignalled', detail: '' });
  }

  #listen(): void {
    this.#peer.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate) this.#gathered(candidate);
    };
    this.#peer.oniceconnectionstatechange = () => {
      const state = this.#peer.iceConnectionState;
      if (state === 'connected' || state === 'completed') this.phases.end('ice', performance.now());
    };
    this.#peer.onconnectionstatechange = () => this.#connection(this.#peer.connectionState);
    this.#peer.ontrack = ({ track }) => {
      this.#stream.addTrack(track);
      this.events.media(this.#stream);
    };
  }

  #gathered(candidate: RTCIceCandidate): void {
    this.#outgoing.add(candidate, performance.now());
    clearTimeout(this.#flush);
    this.#flush = setTimeout(() => this.#send(), (this.#outgoing.due ?? 0) - performance.now());
  }

  #send(): void {
    const batch = this.#outgoing.take(performance.now());
    if (batch.length > 0) this.signals.say(this.#id, { type: 'candidates', candidates: batch.map(toWire) });
    if (this.#outgoing.due !== undefined) {
      // Timers may fire a little early.
      this.#flush = setTimeout(() => this.#send(), Math.max(1, this.#outgoing.due - performance.now()));
    }
  }

  async #receive(message: ViewDown): Promise<void> {
    if (this.#ended || this.#seen.has(message.seq)) return;
    this.#seen.add(message.seq);
    switch (message.type) {
      case 'opened':
        if (this.session !== undefined) return;
        this.session = message.session;
        this.phases.end('opened', performance.now());
        useServers(this.#peer, message.ice_servers, message.ice_policy);
        await this.#peer.setLocalDescription(this.#offer);
        return this.#become('answering');
      case 'answer':
        return this.#answered(message.sdp, message.proof);
      case 'candidates':
        for (const candidate of message.candidates) await this.#candidate(fromWire(candidate));
        return;
      case 'restart_wanted':
        if (this.trusted) this.#mending.changed(performance.now());
        return this.#mend();
      case 'restarted':
        return this.#restarted(message.ice_servers, message.ice_policy);
      case 'closed':
        // A control plane that was restarted knows this call no more. The picture does not need it: it is told again
        // when it asks for another path.
        if (this.#state === 'playing' && ['bad_message', 'viewer_vanished'].includes(message.reason)) {
          return this.#mending.answered(performance.now());
        }
        return this.#end({ reason: message.reason, detail: message.detail });
    }
  }

  async #answered(sdp: string, proof: string): Promise<void> {
    const again = this.trusted;
    if (again && this.#peer.signalingState !== 'have-local-offer') return;
    const offer = this.#peer.localDescription?.sdp;
    if (this.session === undefined || offer === undefined) throw new Error('an answer came before the session');
    await verifyProof(proof, this.keys, { session: this.session, camera: this.camera, offer, answer: sdp });
    if (this.#ended) return;
    if (!again) {
      this.trusted = true;
      this.phases.end('answered', performance.now());
      this.#endAfter(CONNECT_TIMEOUT_MS, 'no_path', NO_PATH);
      this.#become('connecting');
    }
    await this.#peer.setRemoteDescription({ type: 'answer', sdp });
    this.#renewing = false;
    for (const candidate of this.#early.splice(0)) await this.#candidate(candidate);
    if (again) this.#mending.answered(performance.now());
  }

  async #candidate(candidate: RTCIceCandidateInit): Promise<void> {
    if (this.#peer.remoteDescription === null || this.#renewing) {
      if (this.#early.length < 4 * MAX_CANDIDATES) this.#early.push(candidate);
      return;
    }
    // One that this browser cannot use (a family it lacks, say) must not end the call.
    await this.#peer.addIceCandidate(candidate).catch(() => undefined);
  }

  #connection(state: RTCPeerConnectionState): void {
    const now = performance.now();
    if (state === 'connected') {
      this.phases.end('dtls', now);
      clearTimeout(this.#deadline);
      this.#watch ??= setInterval(() => void this.#look(), WATCH_MS);
      this.#carries();
    } else if (this.#watch === undefined) {
      if (state === 'failed') this.#endAfter(LATE_CANDIDATES_MS, 'no_path', NO_PATH);
    } else if (state === 'disconnected' || state === 'failed') {
      if (state === 'failed') this.#mending.failed(now);
      else this.#mending.lost(now);
      this.#mend();
    }
  }

  /** Sees to it that something still comes, and asks for another path where it is time to. */
  async #look(): Promise<void> {
    const now = performance.now();
    const drawn = this.#shown.at(-1)?.expectedDisplayTime ?? 0;
    const doubtful = this.#mending.broken || now - drawn > WATCH_MS;
    if (doubtful) {
      const { bytesArrived } = await this.figures();
      const carried = this.#mending.broken && this.#peer.connectionState === 'connected';
      if (!this.#mending.received(bytesArrived, now) && carried) this.#carries();
    }
    this.#mend();
  }

  #carries(): void {
    this.#mending.mended(performance.now());
    if (this.#state === 'interrupted') this.#become('playing');
  }

  /** Does what is due about the path. */
  #mend(): void {
    const now = performance.now();
    if (this.#ended || !this.trusted) return;
    if (this.#mending.broken && this.#state === 'playing') this.#become('interrupted');
    if (this.#mending.isHopeless(now)) {
      this.#end({ reason: 'viewer_vanished', detail: 'The connection to the camera was lost.' });
    } else if (this.#mending.isDue(now)) {
      void this.#restart().catch((error: unknown) => this.#broke(error));
    }
  }

  /** Asks for another path: a new offer, which takes effect when the servers for it have come. */
  async #restart(): Promise<void> {
    this.#mending.asked(performance.now());
    const offer = await this.#peer.createOffer({ iceRestart: true });
    if (this.#ended) return;
    // Without a link nobody hears it; it is asked again when the link is back.
    if (this.signals.say(this.#id, { type: 'restart', offer: offer.sdp ?? '' })) this.#renewal = offer;
    else this.#mending.unheard(performance.now());
  }

  async #restarted(servers: IceServer[], policy: RTCIceTransportPolicy): Promise<void> {
    const offer = this.#renewal;
    if (offer === undefined) return;
    this.#renewal = undefined;
    this.#renewing = true;
    this.#outgoing.clear();
    this.#early.length = 0;
    useServers(this.#peer, servers, policy);
    await this.#peer.setLocalDescription(offer);
  }

  #become(state: CallState): void {
    if (this.#ended || state === this.#state) return;
    this.#state = state;
    this.events.state(state);
  }

  #endAfter(ms: number, reason: EndReason, detail: string): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#end({ reason, detail }), ms);
  }

  #broke(error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error);
    this.#end({ reason: error instanceof Untrusted ? 'untrusted' : 'failed', detail });
  }

  #end(end: CallEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#deadline);
    clearTimeout(this.#flush);
    clearInterval(this.#watch);
    const reason = end.reason === 'untrusted' ? 'failed' : end.reason;
    if (reason !== 'unsignalled') this.signals.say(this.#id, { type: 'close', reason, detail: end.detail.slice(0, 300) });
    this.#mute();
    this.#peer.close();
    this.events.ended(end);
  }

  #stats(): ViewerStats {
    const now = this.#figures;
    return {
      phases: this.phases.report(),
      path: now?.path ?? null,
      bytes_received: now?.bytesReceived ?? 0,
      frames_decoded: now?.framesDecoded ?? 0,
      fps: now?.fps ?? null,
      width: now?.width ?? null,
      height: now?.height ?? null,
      rtt_ms: now?.roundTripMs ?? null,
      latency_ms: now?.latencyMs ?? null,
      freezes: now?.freezes ?? 0,
    };
  }
}
