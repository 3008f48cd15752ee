import { describe, expect, test } from 'vitest';
import { BUSY, ControlError } from '../rtc/control';
import { createTalk, type Voice } from './talk';

function parts(begin: () => Promise<unknown> = async () => ({})) {
  const said: string[] = [];
  const track = { stop: () => said.push('microphone off') } as unknown as MediaStreamTrack;
  const stream = { getTracks: () => [track], getAudioTracks: () => [track] } as unknown as MediaStream;
  const voice: Voice = {
    call: async (method) => {
      said.push(method);
      return method === 'talk.begin' ? begin() : {};
    },
    send: async (sent) => void said.push(sent ? 'sending' : 'silent'),
  };
  return { said, voice, stream };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

describe('talking', () => {
  test('begins with the leave of the camera and ends with the microphone off', async () => {
    const { said, voice, stream } = parts();
    const talk = createTalk(() => voice, async () => stream);
    talk.toggle();
    expect(talk.state()).toBe('asking');
    await settled();
    expect(talk.state()).toBe('live');
    talk.toggle();
    await settled();
    expect(talk.state()).toBe('off');
    expect(said).toEqual(['talk.begin', 'sending', 'microphone off', 'silent', 'talk.end']);
  });

  test('no microphone is asked for while somebody else talks', async () => {
    const { voice } = parts(() => Promise.reject(new ControlError(BUSY, 'busy')));
    let asked = false;
    const talk = createTalk(
      () => voice,
      async () => {
        asked = true;
        throw new Error('unreachable');
      },
    );
    talk.toggle();
    await settled();
    expect(talk.state()).toBe('off');
    expect(talk.note()).toBe('Somebody else is talking.');
    expect(asked).toBe(false);
  });

  test('a refused microphone gives the floor back', async () => {
    const { said, voice } = parts();
    const talk = createTalk(
      () => voice,
      () => Promise.reject(new DOMException('no', 'NotAllowedError')),
    );
    talk.toggle();
    await settled();
    expect(talk.note()).toBe('The browser may not use the microphone.');
    expect(said).toContain('talk.end');
  });

  test('a connection that goes takes the microphone with it', async () => {
    const { said, voice, stream } = parts();
    const talk = createTalk(() => voice, async () => stream);
    talk.toggle();
    await settled();
    talk.reset();
    expect(talk.state()).toBe('off');
    expect(said.at(-1)).toBe('microphone off');
  });
});
