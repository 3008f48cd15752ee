/** The data channel `control`: calls to the camera by JSON-RPC 2.0 (jsonrpc.org/specification). */

/** The camera's answer to a call it did not carry out. */
export class ControlError extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** Somebody else holds what was asked for. */
export const BUSY = -32001;

/** What is used of an RTCDataChannel. */
export type Channel = Pick<RTCDataChannel, 'readyState' | 'send' | 'addEventListener'>;

interface Answer {
  method?: unknown;
  id?: unknown;
  result?: unknown;
  error?: { code: number; message: string };
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  deadline: ReturnType<typeof setTimeout>;
}

const PATIENCE_MS = 5000;

export class Control {
  #next = 1;
  readonly #waiting = new Map<number, Waiting>();

  /** `notified` hears what the camera says unasked, by its method. */
  constructor(
    private readonly channel: Channel,
    private readonly notified: (method: string) => void = () => undefined,
  ) {
    channel.addEventListener('message', (event) => this.#answered((event as MessageEvent).data));
    channel.addEventListener('close', () => this.#closed());
  }

  /** Whether calls can be made now. */
  get open(): boolean {
    return this.channel.readyState === 'open';
  }

  /** Calls a method; resolves with its result, rejects with the camera's {@link ControlError}. */
  call(method: string, params?: Record<string, unknown>, patience = PATIENCE_MS): Promise<unknown> {
    if (!this.open) return Promise.reject(new Error('The camera cannot be asked: the connection is not open.'));
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => this.#take(id)?.reject(new Error('The camera did not answer.')), patience);
      this.#waiting.set(id, { resolve, reject, deadline });
      this.channel.send(JSON.stringify({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) }));
    });
  }

  #answered(data: unknown): void {
    if (typeof data !== 'string') return;
    let answer: Answer;
    try {
      answer = JSON.parse(data) as Answer;
    } catch {
      return;
    }
    if (typeof answer?.method === 'string') return this.notified(answer.method);
    if (typeof answer?.id !== 'number') return;
    const waiting = this.#take(answer.id);
    if (answer.error) waiting?.reject(new ControlError(answer.error.code, answer.error.message));
    else waiting?.resolve(answer.result);
  }

  #closed(): void {
    for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(new Error('The connection to the camera ended.'));
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.deadline);
    return waiting;
  }
}
