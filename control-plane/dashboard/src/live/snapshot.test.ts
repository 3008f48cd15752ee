import { describe, expect, test } from 'vitest';
import { createSnapshot, fetchPicture, fileName } from './snapshot';

/** A camera with a picture of so many bytes, in parts of ten. */
function camera(bytes: number) {
  const picture = Uint8Array.from({ length: bytes }, (_, index) => index % 251);
  let open = 0;
  let most = 0;
  const call = async (method: string, params?: Record<string, unknown>) => {
    const parts = Math.ceil(bytes / 10);
    if (method === 'snapshot') return { picture: 7, type: 'image/jpeg', parts, captured_ms: 1_000, bytes };
    expect(params?.['picture']).toBe(7);
    open += 1;
    most = Math.max(most, open);
    const part = Number(params?.['part']);
    // Later parts are the quicker ones.
    await new Promise((resolve) => setTimeout(resolve, parts - part));
    open -= 1;
    return { data: btoa(String.fromCharCode(...picture.subarray(10 * part, 10 * part + 10))) };
  };
  return { picture, call, most: () => most };
}

describe('a snapshot', () => {
  test('is put together from its parts, whatever order they come in', async () => {
    const { picture, call, most } = camera(95);
    const { file, captured } = await fetchPicture({ call });
    expect(new Uint8Array(await file.arrayBuffer())).toEqual(picture);
    expect([file.type, captured]).toEqual(['image/jpeg', 1000]);
    expect(most()).toBe(4);
  });

  test('is saved under the name of the camera and its time', async () => {
    expect(fileName('Front/door:', new Date(2026, 10, 3, 8, 5, 9).getTime())).toBe('Front door 2026-11-03 08.05.09.jpg');
    expect(fileName('..', 0)).toMatch(/^\.\. .*\.jpg$/);
    const saved: string[] = [];
    const snapshot = createSnapshot(() => camera(5), () => 'Yard', (_, name) => saved.push(name));
    snapshot.take();
    snapshot.take();
    expect(snapshot.busy()).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(snapshot.busy()).toBe(false);
    expect(saved).toHaveLength(1);
    expect(saved[0]).toMatch(/^Yard 1970/);
  });

  test('that cannot be taken says why', async () => {
    const failing = { call: () => Promise.reject(new Error('no picture within 4s')) };
    const snapshot = createSnapshot(() => failing, () => 'Yard', () => undefined);
    snapshot.take();
    await new Promise((resolve) => setTimeout(resolve));
    expect(snapshot.note()).toBe('No picture: no picture within 4s');
    expect(snapshot.busy()).toBe(false);
  });
});
