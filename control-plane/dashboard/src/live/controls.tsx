/** The controls over the picture: sound, talking, snapshot, picture settings and full screen. */

import { Show } from 'solid-js';
import { ExpandIcon, MicrophoneIcon, MutedIcon, ShrinkIcon, ShutterIcon, SlidersIcon, SoundIcon } from '../parts/icons';
import type { FullScreen } from './full-screen';
import type { Snapshot } from './snapshot';
import type { Sound } from './sound';
import type { Talk } from './talk';

/** The panel of picture settings, for people who may set something. */
export interface Settings {
  there(): boolean;
  open(): boolean;
  toggle(): void;
}

export interface ControlsProps {
  sound: Sound;
  talk: Talk;
  mayTalk: boolean;
  /** Whether the camera can be asked for anything. */
  reachable: boolean;
  snapshot: Snapshot;
  settings: Settings;
  fullScreen: FullScreen;
}

export function Controls(props: ControlsProps) {
  const silent = () => props.sound.muted();
  return (
    <div class="controls">
      <button
        class="control"
        classList={{ 'control-inviting': silent() }}
        type="button"
        data-testid="unmute"
        aria-pressed={!silent()}
        aria-keyshortcuts="m"
        title={silent() ? 'Turn the sound on (m)' : 'Mute (m)'}
        onClick={() => props.sound.toggle()}
      >
        <Show when={silent()} fallback={<SoundIcon />}>
          <MutedIcon />
        </Show>
        <span>Sound</span>
      </button>
      <input
        class="volume"
        type="range"
        min="0"
        max="1"
        step="0.05"
        value={silent() ? 0 : props.sound.volume()}
        aria-label="Volume"
        data-testid="volume"
        onInput={(event) => props.sound.setVolume(event.currentTarget.valueAsNumber)}
      />
      <Show when={props.mayTalk}>
        <button
          class="control"
          classList={{ 'control-on-air': props.talk.state() === 'live' }}
          type="button"
          data-testid="talk"
          data-state={props.talk.state()}
          aria-pressed={props.talk.state() !== 'off'}
          aria-keyshortcuts="t"
          title={props.talk.state() === 'off' ? 'Talk to the people at the camera (t)' : 'Stop talking (t)'}
          onClick={() => props.talk.toggle()}
        >
          <MicrophoneIcon />
          <span>{props.talk.state() === 'live' ? 'On air' : 'Talk'}</span>
        </button>
        <span class="control-note" aria-live="polite" data-testid="talk-note">
          {props.talk.note()}
        </span>
      </Show>
      <span class="control-note" aria-live="polite" data-testid="snapshot-note">
        {props.snapshot.note()}
      </span>
      <span class="controls-space" />
      <Show when={props.reachable}>
        <button
          class="control"
          type="button"
          data-testid="snapshot"
          aria-keyshortcuts="s"
          title="Save a picture (s)"
          disabled={props.snapshot.busy()}
          onClick={() => props.snapshot.take()}
        >
          <ShutterIcon />
          <span class="visually-hidden">Save a picture</span>
        </button>
      </Show>
      <Show when={props.settings.there() && !props.fullScreen.active()}>
        <button
          class="control"
          classList={{ 'control-open': props.settings.open() }}
          type="button"
          data-testid="image-settings"
          aria-expanded={props.settings.open()}
          aria-controls="image-panel"
          aria-keyshortcuts="p"
          title="Picture settings (p)"
          onClick={() => props.settings.toggle()}
        >
          <SlidersIcon />
          <span class="visually-hidden">Picture settings</span>
        </button>
      </Show>
      <button
        class="control"
        type="button"
        data-testid="fullscreen"
        aria-keyshortcuts="f"
        title={props.fullScreen.active() ? 'Leave full screen (f)' : 'Full screen (f)'}
        onClick={() => props.fullScreen.toggle()}
      >
        <Show when={props.fullScreen.active()} fallback={<ExpandIcon />}>
          <ShrinkIcon />
        </Show>
        <span class="visually-hidden">{props.fullScreen.active() ? 'Leave full screen' : 'Full screen'}</span>
      </button>
    </div>
  );
}
