/**
 * Talking to the people at the camera.
 *
 * ```text
 * off -> asking -> live -> off
 *          |
 *          +-> off, with a note: somebody else talks, no microphone, not allowed
 * ```
 *
 * The camera is asked first: one viewer talks at a time, and nobody should be asked for a microphone in vain.
 */

import { createSignal } from 'solid-js';
import { BUSY, ControlError } from '../rtc/control';

export type TalkState = 'off' | 'asking' | 'live';

/** The connection as talking needs it. */
export interface Voice {
  call(method: string): Promise<unknown>;
  /** Sends this sound, or none. */
  send(track: MediaStreamTrack | null): Promise<void>;
}

export interface Talk {
  state(): TalkState;
  /** Why it did not begin; empty when there is nothing to say. */
  note(): string;
  toggle(): void;
  /** Over, whatever it was: the connection is gone. */
  reset(): void;
  /** The camera took the floor back. */
  taken(): void;
}

export type Microphone = () => Promise<MediaStream>;

const browserMicrophone: Microphone = () =>
  navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });

/** `voice` is the connection of this moment, if one can carry a voice. */
export function createTalk(voice: () => Voice | undefined, microphone: Microphone = browserMicrophone): Talk {
  const [state, setState] = createSignal<TalkState>('off');
  const [note, setNote] = createSignal('');
  let stream: MediaStream | undefined;

  const silence = () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = undefined;
    setState('off');
  };

  async function begin(): Promise<void> {
    const through = voice();
    if (!through) return;
    setNote('');
    setState('asking');
    try {
      await through.call('talk.begin');
      stream = await microphone();
      await through.send(stream.getAudioTracks()[0] ?? null);
      // The person may have thought better of it meanwhile, or the connection may be another one.
      if (state() === 'asking' && through === voice()) return void setState('live');
      await end(through);
    } catch (error) {
      setNote(reason(error));
      await end(through);
    }
  }

  async function end(through: Voice | undefined): Promise<void> {
    silence();
    // What cannot be said to a connection that is gone need not be.
    await through?.send(null).catch(() => undefined);
    await through?.call('talk.end').catch(() => undefined);
  }

  return {
    state,
    note,
    toggle: () => void (state() === 'off' ? begin() : end(voice())),
    reset: silence,
    taken: () => {
      void voice()?.send(null).catch(() => undefined);
      silence();
      setNote('The camera heard nothing and stopped listening.');
    },
  };
}

function reason(error: unknown): string {
  if (error instanceof ControlError && error.code === BUSY) return 'Somebody else is talking.';
  if (error instanceof DOMException && error.name === 'NotAllowedError') return 'The browser may not use the microphone.';
  if (error instanceof DOMException && error.name === 'NotFoundError') return 'There is no microphone here.';
  return error instanceof Error ? error.message : String(error);
}
