/** Sound of the live picture: muted at first, as browsers play nothing aloud unasked; the volume is remembered. */

import { createSignal } from 'solid-js';

const KEY = 'heron.volume';

export interface Sound {
  muted(): boolean;
  /** 0 to 1. */
  volume(): number;
  toggle(): void;
  setVolume(volume: number): void;
  /** Applies it to the video, now and on every change. */
  attach(video: HTMLVideoElement): void;
}

export function createSound(): Sound {
  const [muted, setMuted] = createSignal(true);
  const [volume, setVolume] = createSignal(remembered());
  let attached: HTMLVideoElement | undefined;
  const apply = () => {
    if (!attached) return;
    attached.muted = muted();
    attached.volume = volume();
  };
  return {
    muted,
    volume,
    toggle: () => {
      if (muted() && volume() === 0) setVolume(0.5);
      setMuted(!muted());
      apply();
    },
    setVolume: (value) => {
      setVolume(value);
      setMuted(value === 0);
      apply();
      localStorage.setItem(KEY, String(value));
    },
    attach: (video) => {
      attached = video;
      apply();
    },
  };
}

function remembered(): number {
  const value = Number.parseFloat(localStorage.getItem(KEY) ?? '');
  return value > 0 && value <= 1 ? value : 1;
}
