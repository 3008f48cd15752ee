/** Full screen for the picture with its controls; on phones that only know video full screen, for the video. */

import { createSignal, onCleanup } from 'solid-js';

type PhoneVideo = HTMLVideoElement & { webkitEnterFullscreen?(): void };

export interface FullScreen {
  active(): boolean;
  toggle(): void;
}

export function createFullScreen(stage: () => HTMLElement, video: () => HTMLVideoElement): FullScreen {
  const [active, setActive] = createSignal(false);
  const changed = () => setActive(document.fullscreenElement !== null);
  document.addEventListener('fullscreenchange', changed);
  onCleanup(() => document.removeEventListener('fullscreenchange', changed));
  return {
    active,
    toggle: () => {
      if (document.fullscreenElement) void document.exitFullscreen();
      else if ('requestFullscreen' in stage()) void stage().requestFullscreen().catch(() => undefined);
      else (video() as PhoneVideo).webkitEnterFullscreen?.();
    },
  };
}
