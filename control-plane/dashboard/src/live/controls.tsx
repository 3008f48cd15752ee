/** The controls over the picture: sound, talking and full screen. */

import { Show } from 'solid-js';
import { ExpandIcon, MicrophoneIcon, MutedIcon, ShrinkIcon, SoundIcon } from '../parts/icons';
import type { FullScreen } from './full-screen';
import type { Sound } from './sound';
import type { Talk } from './talk';

export function Controls(props: { sound: Sound; talk: Talk; mayTalk: boolean; fullScreen: FullScreen }) {
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
        <span class="talk-note" aria-live="polite" data-testid="talk-note">
          {props.talk.note()}
        </span>
      </Show>
      <button
        class="control control-last"
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
