/**
 * A still picture at the camera's full quality: taken by the camera, fetched over the data channel part by part (a message
 * has a limit, and media must not wait for a picture), and saved as a file.
 */

import { createSignal } from 'solid-js';

/** The connection as this needs it. */
export interface Caller {
  call(method: string, params?: Record<string, unknown>): Promise<unknown>;
}

export interface Picture {
  file: Blob;
  /** Unix time in milliseconds. */
  captured: number;
}

export interface Snapshot {
  busy(): boolean;
  /** Why there is none; empty when there is nothing to say. */
  note(): string;
  take(): void;
}

/** Parts that are under way at once: enough to fill a path, too few to crowd it. */
const AT_ONCE = 4;

/** Has a picture taken, and fetches it. */
export async function fetchPicture(camera: Caller): Promise<Picture> {
  const taken = (await camera.call('snapshot')) as Record<string, unknown>;
  const { picture, type, parts, captured_ms: captured } = taken;
  if (typeof type !== 'string' || typeof parts !== 'number' || typeof captured !== 'number') {
    throw new Error('The camera took no picture.');
  }
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let next = 0;
  const fetchSome = async () => {
    while (next < parts) {
      const part = next;
      next += 1;
      const { data } = (await camera.call('snapshot.part', { picture, part })) as { data: string };
      pieces[part] = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, fetchSome));
  return { file: new Blob(pieces, { type }), captured };
}

/** `Front door 2026-11-23 08.15.30.jpg`, in local time. */
export function fileName(camera: string, captured: number): string {
  const time = new Date(captured);
  const two = (number: number) => String(number).padStart(2, '0');
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join('-');
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join('.');
  return `${camera.replaceAll(/[/\\:*?"<>|\p{Cc}]+/gu, ' ').trim() || 'camera'} ${date} ${clock}.jpg`;
}

/** `camera` is the connection of this moment, if it can be asked; `save` takes the file away. */
export function createSnapshot(
  camera: () => Caller | undefined,
  name: () => string,
  save: (file: Blob, name: string) => void = download,
): Snapshot {
  const [busy, setBusy] = createSignal(false);
  const [note, setNote] = createSignal('');

  async function take(): Promise<void> {
    const asked = camera();
    if (!asked || busy()) return;
    setBusy(true);
    setNote('');
    try {
      const { file, captured } = await fetchPicture(asked);
      save(file, fileName(name(), captured));
    } catch (error) {
      setNote(`No picture: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      setBusy(false);
    }
  }

  return { busy, note, take: () => void take() };
}

function download(file: Blob, name: string): void {
  const address = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser has taken it by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
