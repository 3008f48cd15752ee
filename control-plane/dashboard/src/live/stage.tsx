/** The picture: the video with its controls, and over it what is to be said while there is none. */

import { createEffect, createSignal, onCleanup, onMount, Show } from 'solid-js';
import { TrustedIcon, UntrustedIcon } from '../parts/icons';
import { StillPicture } from '../parts/still';
import { takeStill } from '../stills/store';
import { Controls, type ControlsProps } from './controls';
import type { StatusText } from './status';

/** Whether the picture is known to come from this camera. */
export type Trust = 'pending' | 'verified' | 'refused';

/** Controls hide after so long without a movement over the picture. */
const IDLE_MS = 4000;
const FIRST_STILL_MS = 2000;
const STILL_EVERY_MS = 60_000;

export interface StageProps extends ControlsProps {
  device: string;
  name: string;
  status: StatusText;
  trust: Trust;
  stage(element: HTMLElement): void;
  video(element: HTMLVideoElement): void;
  onAgain(): void;
}

export function Stage(props: StageProps) {
  const [idle, setIdle] = createSignal(false);
  let video!: HTMLVideoElement;
  let resting: ReturnType<typeof setTimeout> | undefined;
  const live = () => props.status.tone === 'live';
  const mending = () => props.status.tone === 'mending';
  const moved = () => {
    setIdle(false);
    clearTimeout(resting);
    resting = setTimeout(() => setIdle(true), IDLE_MS);
  };
  const still = () => {
    if (live() && props.trust === 'verified') void takeStill(props.device, video);
  };

  onMount(() => {
    moved();
    const regular = setInterval(still, STILL_EVERY_MS);
    onCleanup(() => {
      still();
      clearTimeout(resting);
      clearInterval(regular);
    });
  });
  createEffect(() => {
    if (!live()) return;
    const first = setTimeout(still, FIRST_STILL_MS);
    onCleanup(() => clearTimeout(first));
  });

  return (
    <section
      class="stage"
      classList={{ 'stage-live': live(), 'stage-mending': mending(), 'stage-idle': idle() && live() }}
      ref={(element) => props.stage(element)}
      aria-label={`Live picture of ${props.name}`}
      onPointerMove={moved}
      onPointerDown={moved}
      onFocusIn={moved}
      onKeyDown={moved}
    >
      <Show when={!live() && !mending()}>
        <div class="stage-still">
          <StillPicture device={props.device} name={props.name} />
        </div>
      </Show>
      <video
        ref={(element) => {
          video = element;
          props.video(element);
        }}
        class="stage-video"
        data-testid="live-video"
        autoplay
        playsinline
        muted
        aria-label={`${props.name}, live`}
        onDblClick={() => props.fullScreen.toggle()}
      />
      <div class="stage-top">
        <TrustBadge trust={props.trust} />
      </div>
      <div class={`status status-${props.status.tone}`}>
        <Show when={props.status.tone === 'busy' || mending()}>
          <span class="spinner" aria-hidden="true" />
        </Show>
        <Show when={live()}>
          <span class="dot" aria-hidden="true" />
        </Show>
        <div role="status" aria-live="polite">
          <p class="status-headline" data-testid="live-status">
            {props.status.headline}
          </p>
          <Show when={props.status.detail}>{(detail) => <p class="status-detail">{detail()}</p>}</Show>
        </div>
        <Show when={props.status.again}>
          <button class="secondary" type="button" data-testid="try-again" onClick={() => props.onAgain()}>
            Try again
          </button>
        </Show>
      </div>
      <Controls {...props} />
    </section>
  );
}

function TrustBadge(props: { trust: Trust }) {
  return (
    <Show when={props.trust !== 'pending'}>
      <span
        class="trust"
        classList={{ 'trust-refused': props.trust === 'refused' }}
        data-testid="trust-badge"
        data-trust={props.trust}
        title={
          props.trust === 'verified'
            ? 'The camera signed this connection with its own key: nobody in between can change or see the picture'
            : "The connection was not signed with this camera's key"
        }
      >
        <Show when={props.trust === 'verified'} fallback={<UntrustedIcon />}>
          <TrustedIcon />
        </Show>
        {props.trust === 'verified' ? 'Verified camera' : 'Not trusted'}
      </span>
    </Show>
  );
}
