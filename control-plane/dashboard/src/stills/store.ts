/** The last picture of each camera that was watched in this browser, in IndexedDB. Never leaves the machine. */

import { createSignal } from 'solid-js';

export interface Still {
  device: string;
  /** When it was taken, in Unix milliseconds. */
  at: number;
  picture: Blob;
}

const [changes, setChanges] = createSignal(0);

/** Counts changes of the stills: read it where a still is shown. */
export const stillChanges = changes;

const DATABASE = 'heron';
const STILLS = 'stills';
const WIDTH = 640;

/** Takes a still of what the video shows now. */
export async function takeStill(device: string, video: HTMLVideoElement): Promise<void> {
  if (video.videoWidth === 0) return;
  const canvas = document.createElement('canvas');
  canvas.width = Math.min(WIDTH, video.videoWidth);
  canvas.height = Math.round((canvas.width * video.videoHeight) / video.videoWidth);
  canvas.getContext('2d')?.drawImage(video, 0, 0, canvas.width, canvas.height);
  const picture = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.8));
  if (picture) await write((stills) => stills.put({ device, at: Date.now(), picture } satisfies Still));
}

/** The camera's last still; `undefined` when there is none, or where the browser keeps nothing (private windows). */
export async function lastStill(device: string): Promise<Still | undefined> {
  try {
    const database = await open();
    return await done<Still | undefined>(database.transaction(STILLS).objectStore(STILLS).get(device));
  } catch {
    return undefined;
  }
}

/** Forgets all of them. */
export const forgetStills = (): Promise<void> => write((stills) => stills.clear());

async function write(change: (stills: IDBObjectStore) => IDBRequest): Promise<void> {
  try {
    const database = await open();
    await done(change(database.transaction(STILLS, 'readwrite').objectStore(STILLS)));
    setChanges((count) => count + 1);
  } catch {
    // A still is a courtesy: without room or permission there is none.
  }
}

let opened: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STILLS, { keyPath: 'device' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB is not available'));
  });
  return opened;
}

function done<T>(request: IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB failed'));
  });
}
