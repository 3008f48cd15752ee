/**
 * This browser's link to the broker: MQTT 5 over a WebSocket on the page's own origin.
 *
 * One subscription covers everything that is sent to this browser, so that opening a call costs no extra round trip.
 * The token is renewed before it expires, which keeps the browser id and its sessions; when the link breaks, it comes
 * back by itself with a fresh token, after a jittered wait. Media does not need the link: a picture goes on without.
 */

import mqtt, { type MqttClient } from 'mqtt';
import { type BrowserToken, browserToken } from '../api/browser-token';
import { Problem } from '../api/client';
import { Backoff } from './backoff';
import { type CameraUpdate, readCameraUpdate, readViewDown, type ViewDown, type ViewUp } from './messages';
import { callUp, everythingDown, readDown } from './topics';

/** `connecting` until the first connection, `lost` after it broke. */
export type LinkState = 'connecting' | 'online' | 'lost';

export interface LinkEvents {
  state(state: LinkState): void;
  camera(device: string, update: CameraUpdate): void;
  /** Nobody is signed in any more. */
  signedOut(): void;
}

/** Signalling does not outlive a start: the table gives these messages 15 s. */
const EXPIRY_S = 15;
const CONNECT_TIMEOUT_MS = 8000;
/** The broker acknowledges a message within this, or the connection is taken for dead: TCP would notice much later. */
const ACKNOWLEDGED_MS = 2500;
/** A token is renewed when this part of its life is left. */
const RENEW_AT = 1 / 3;

export class Link {
  /** Messages that were not understood, and dropped. */
  refused = 0;
  #client: MqttClient | undefined;
  #token: BrowserToken | undefined;
  #state: LinkState = 'connecting';
  #stopped = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  readonly #backoff = new Backoff(500, 15_000);
  readonly #calls = new Map<string, (message: ViewDown) => void>();
  readonly #sequence = new Map<string, number>();

  constructor(private readonly events: LinkEvents) {
    void this.#connect();
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Hears what is said of a call until the returned function is called. */
  hear(call: string, listener: (message: ViewDown) => void): () => void {
    this.#calls.set(call, listener);
    return () => {
      this.#calls.delete(call);
      this.#sequence.delete(call);
    };
  }

  /** Says something of a call. False when the link is down: signalling is never queued for later. */
  say(call: string, message: ViewUp): boolean {
    if (!this.#client?.connected || !this.#token) return false;
    const seq = this.#sequence.get(call) ?? 0;
    this.#sequence.set(call, seq + 1);
    const properties = { messageExpiryInterval: EXPIRY_S };
    const client = this.#client;
    const overdue = setTimeout(() => this.#replace(client), ACKNOWLEDGED_MS);
    const body = JSON.stringify({ ...message, seq });
    client.publish(callUp(this.#token, call), body, { qos: 1, properties }, () => clearTimeout(overdue));
    // The library lets go of the packet in a timer, which waits until the browser has drawn; we are in a hurry.
    client.stream.uncork();
    return true;
  }

  /** The page is back, or the network is: try at once instead of waiting. */
  wake(): void {
    if (this.#retry === undefined) return;
    clearTimeout(this.#retry);
    void this.#connect();
  }

  /** Ends the link for good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#renewal);
    this.#client?.end();
    this.#client = undefined;
  }

  async #connect(): Promise<void> {
    this.#retry = undefined;
    let token: BrowserToken;
    try {
      token = await browserToken(this.#token?.browser);
    } catch (error) {
      if (error instanceof Problem && error.signedOut) this.events.signedOut();
      else this.#retryLater();
      return;
    }
    if (this.#stopped) return;
    this.#use(token);
    this.#open(token);
  }

  #open(token: BrowserToken): void {
    const url = new URL(token.mqtt_path, window.location.href);
    url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
    const client = mqtt.connect(url.href, {
      protocolVersion: 5,
      clientId: token.browser,
      username: token.browser,
      password: token.token,
      clean: true,
      keepalive: 20,
      connectTimeout: CONNECT_TIMEOUT_MS,
      // We reconnect ourselves, with a fresh token.
      reconnectPeriod: 0,
      // Its other timers live in a worker made from a blob: URL, which the page's policy forbids.
      timerVariant: 'native',
    });
    this.#client = client;
    client.on('connect', () => this.#subscribe(client, token));
    client.on('message', (topic, body) => this.#receive(token, topic, body));
    client.on('error', () => client.end(true));
    client.on('close', () => this.#closed(client));
  }

  #subscribe(client: MqttClient, token: BrowserToken): void {
    client.subscribe(everythingDown(token), { qos: 1 }, (error) => {
      if (client !== this.#client) return;
      if (error) {
        client.end(true);
        return;
      }
      this.#backoff.reset();
      this.#become('online');
    });
  }

  #closed(client: MqttClient): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    this.#become(this.#state === 'connecting' ? 'connecting' : 'lost');
    this.#retryLater();
  }

  /** A connection that leads nowhere: another one, at once. */
  #replace(client: MqttClient): void {
    if (client !== this.#client || this.#token === undefined) return;
    this.#client = undefined;
    client.end(true);
    this.#become('lost');
    this.#open(this.#token);
  }

  #retryLater(): void {
    if (this.#stopped) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#connect(), this.#backoff.next());
  }

  /** Takes a token into use and plans its renewal. */
  #use(token: BrowserToken): void {
    this.#token = token;
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => void this.#renew(), token.expires_in_s * 1000 * (1 - RENEW_AT));
  }

  async #renew(): Promise<void> {
    const current = this.#token;
    try {
      const token = await browserToken(current?.browser);
      if (this.#stopped) return;
      this.#use(token);
      // The control plane no longer knew this browser: its topics have a new name now.
      if (token.browser !== current?.browser) this.#client?.end(true);
    } catch (error) {
      if (error instanceof Problem && error.signedOut) this.events.signedOut();
      else if (!this.#stopped) this.#renewal = setTimeout(() => void this.#renew(), this.#backoff.next());
    }
  }

  #receive(token: BrowserToken, topic: string, body: Uint8Array): void {
    const down = readDown(token, topic);
    try {
      if (down?.about === 'camera') this.events.camera(down.device, readCameraUpdate(body));
      else if (down?.about === 'call') this.#calls.get(down.call)?.(readViewDown(body));
    } catch (error) {
      this.refused += 1;
      console.warn(`heron: a message on ${topic} was refused: ${(error as Error).message}`);
    }
  }

  #become(state: LinkState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.events.state(state);
  }
}
