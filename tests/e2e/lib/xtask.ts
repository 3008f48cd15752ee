/**
 * The other end of `tests/xtask/src/browser.rs`: what a script is given, what it may ask for, what it reports.
 *
 * xtask passes the input as one JSON argument, answers `@ask` lines on standard input, and reads the `@result` line.
 */

import { createInterface } from 'node:readline';

export interface Input {
  /** The control plane's page. */
  url: string;
  name: string;
  password: string;
  /** The Chromium to start. */
  chromium: string;
  /** The folder for pictures. */
  output: string;
  /** How often to start, where that is the point. */
  starts?: number;
  /** Of the bench of starts: the most that the picture may take. */
  kbps?: number;
  /** Of the browser tests: the page of the camera's local view, and the token it wants. */
  localView?: string;
  token?: string;
  /** Of the browser tests: the file of what the camera's loudspeaker plays, 16-bit samples at 48 kHz. */
  loudspeaker?: string;
  /** Of a bench: what to measure, Heron first. */
  servers?: string[];
  /** Of a bench: how often, and for how long each time. */
  runs?: number;
  seconds?: number;
  /** Of a bench: pictures a second that the servers send. */
  fps?: number;
  /** Of the NAT laboratory: the names of the cameras, and the kinds of access that viewers have with a Chromium there. */
  cameras?: string[];
  viewers?: { kind: string; chromium: string }[];
  /** What breaks a path there, and behind which kind of access the two ends are. */
  events?: { name: string; kind: string }[];
  /** Of a bench with a link: the Chromium that is started behind it. */
  chromiumBehindLink?: string;
}

export interface Result {
  heading?: string[];
  /** A table for a person. */
  figures?: string[][];
  /** The same for a program. */
  data?: unknown;
  /** All of it in one line. */
  line: string;
}

/** Collects what should have happened and did not, so that one run shows all of it. */
export class Checks {
  readonly missed: string[] = [];

  /** `sentence` says what should be true. */
  expect(holds: boolean, sentence: string): void {
    if (!holds) this.missed.push(sentence);
  }
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks xtask to do something; resolves with what came of it. */
export async function ask(what: string, argument = ''): Promise<string> {
  console.log(`@ask ${JSON.stringify({ what, argument })}`);
  const { value, done } = await lines.next();
  if (done) throw new Error('xtask is gone');
  const reply = JSON.parse(value) as { value?: string; error?: string };
  if (reply.error !== undefined) throw new Error(`${what}: ${reply.error}`);
  return reply.value ?? '';
}

/** Runs a script: its result goes to xtask, an error ends it. */
export async function script(body: (input: Input, checks: Checks) => Promise<Result>): Promise<never> {
  const input = JSON.parse(process.argv[2] ?? '{}') as Input;
  const checks = new Checks();
  try {
    const result = await body(input, checks);
    console.log(`@result ${JSON.stringify({ ...result, failures: checks.missed })}`);
    process.exit(0);
  } catch (error) {
    console.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(1);
  }
}
