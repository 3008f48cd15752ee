/** The controls over the picture: sound and full screen. */

import { Show } from 'solid-js';
import { ExpandIcon, MutedIcon, ShrinkIcon, SoundIcon } from '../parts/icons';
import type { FullScreen } from './full-screen';
import type { Sound } from './sound';

export function Controls(props: { sound: Sound; fullScreen: FullScreen }) {
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
