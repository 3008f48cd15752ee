import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BUSY, type Channel, Control, ControlError } from './control';

/** The camera's end of a channel. */
class Camera extends EventTarget {
  readyState: RTCDataChannelState = 'open';
  readonly heard: { id: number; method: string; params?: unknown }[] = [];

  send(text: string): void {
    this.heard.push(JSON.parse(text));
  }

  says(message: unknown): void {
    const data = typeof message === 'string' ? message : JSON.stringify(message);
    this.dispatchEvent(new MessageEvent('message', { data }));
  }
}

describe('calls to the camera', () => {
  let camera: Camera;
  let control: Control;

  beforeEach(() => {
    vi.useFakeTimers();
    camera = new Camera();
    control = new Control(camera as unknown as Channel);
  });
  afterEach(() => vi.useRealTimers());

  test('each gets its own answer, in whatever order they come', async () => {
    const first = control.call('stats');
    const second = control.call('image.set', { brightness: 3 });
    expect(camera.heard[1]).toMatchObject({ jsonrpc: '2.0', method: 'image.set', params: { brightness: 3 } });
    camera.says({ jsonrpc: '2.0', id: camera.heard[1]?.id, result: 'second' });
    camera.says({ jsonrpc: '2.0', id: camera.heard[0]?.id, result: 'first' });
    expect(await first).toBe('first');
    expect(await second).toBe('second');
  });

  test('a refusal keeps its code', async () => {
    const call = control.call('talk.begin');
    camera.says({ jsonrpc: '2.0', id: 1, error: { code: BUSY, message: 'somebody else talks' } });
    await expect(call).rejects.toEqual(new ControlError(BUSY, 'somebody else talks'));
  });

  test('what is no answer is passed over, and silence ends a call', async () => {
    const call = control.call('stats');
    for (const noise of ['no JSON', 'null', '[]', { id: 'x' }, { id: 99, result: 1 }]) camera.says(noise);
    vi.advanceTimersByTime(5000);
    await expect(call).rejects.toThrow('did not answer');
  });

  test('what the camera says unasked is heard', () => {
    const heard: string[] = [];
    new Control(camera as unknown as Channel, (method) => heard.push(method));
    camera.says({ jsonrpc: '2.0', method: 'talk.ended', params: { reason: 'nothing was heard' } });
    expect(heard).toEqual(['talk.ended']);
  });

  test('a channel that closes ends its calls', async () => {
    const call = control.call('stats');
    camera.readyState = 'closed';
    camera.dispatchEvent(new Event('close'));
    await expect(call).rejects.toThrow('ended');
    await expect(control.call('stats')).rejects.toThrow('not open');
  });
});
