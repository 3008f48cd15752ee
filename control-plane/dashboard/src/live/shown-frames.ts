/** Tells of every picture that the video shows, where the browser can (`requestVideoFrameCallback`). */

import type { ShownFrame } from '../rtc/figures';

/** Calls `shown` for each picture until the returned function is called. */
export function watchFrames(video: HTMLVideoElement, shown: (frame: ShownFrame) => void): () => void {
  if (!('requestVideoFrameCallback' in video)) return watchFirst(video, shown);
  let handle = 0;
  const next = (_: number, frame: ShownFrame) => {
    shown(frame);
    handle = video.requestVideoFrameCallback(next);
  };
  handle = video.requestVideoFrameCallback(next);
  return () => video.cancelVideoFrameCallback(handle);
}

/** Elsewhere the first picture at least is known. */
function watchFirst(element: HTMLVideoElement, shown: (frame: ShownFrame) => void): () => void {
  const loaded = () => shown({ expectedDisplayTime: performance.now() });
  element.addEventListener('loadeddata', loaded);
  return () => element.removeEventListener('loadeddata', loaded);
}
