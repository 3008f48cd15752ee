/** Requests to the control plane's HTTP API, `/api/v1`. */

import { sentence } from '../text/format';

/** What the API answers when it does not do a thing (RFC 9457); the message is its one line of detail. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly retryAfterSeconds?: number,
  ) {
    // The API's lines begin in lower case, as log lines do.
    super(sentence(detail));
  }

  /** Nobody is signed in (any more). */
  get signedOut(): boolean {
    return this.status === 401;
  }
}

/** The control plane did not answer at all. */
export class Unreachable extends Error {
  constructor() {
    super('The control plane does not answer. Check the connection and try again.');
  }
}

/** Longer than this nobody waits: the network may have changed under the connection, which would never end. */
const PATIENCE_MS = 20_000;

/** Sends a request and reads the answer; `body` travels as JSON. */
export async function request<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, body);
  if (!response.ok) throw await problem(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function send(method: string, path: string, body: unknown): Promise<Response> {
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  try {
    return await fetch(`/api/v1${path}`, { method, signal: AbortSignal.timeout(PATIENCE_MS), credentials: 'same-origin', cache: 'no-store', ...json });
  } catch {
    throw new Unreachable();
  }
}

async function problem(response: Response): Promise<Problem> {
  const body: { detail?: unknown; retry_after_s?: unknown } = await response.json().catch(() => ({}));
  const detail = typeof body.detail === 'string' ? body.detail : `The control plane answered ${response.status}.`;
  const retry = typeof body.retry_after_s === 'number' ? body.retry_after_s : undefined;
  return new Problem(response.status, detail, retry);
}
