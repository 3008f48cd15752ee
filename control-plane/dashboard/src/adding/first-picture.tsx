/** The first picture of a camera that was just added: plays as soon as the camera is there. */

import { createEffect, on, onCleanup, onMount } from 'solid-js';
import { identityKeys } from '../api/cameras';
import { useHeron } from '../fleet/heron';
import { watchFrames } from '../live/shown-frames';
import { Player } from '../rtc/player';

export function FirstPicture(props: { device: string; onShown: () => void }) {
  const heron = useHeron();
  const online = () => heron.camera(props.device)?.online ?? false;
  let video!: HTMLVideoElement;
  onMount(() => {
    const player = new Player(
      props.device,
      { signals: heron.link, linked: () => heron.linkState() === 'online', online, keys: identityKeys(props.device) },
      {
        status: () => undefined,
        media: (stream) => (video.srcObject = stream),
        figures: () => undefined,
        rung: () => undefined,
        notified: () => undefined,
        trusted: () => undefined,
      },
    );
    const unwatch = watchFrames(video, (frame) => {
      player.shown(frame);
      props.onShown();
    });
    const leave = () => player.stop();
    window.addEventListener('pagehide', leave);
    player.start(performance.now());
    createEffect(on([heron.linkState, online], () => player.surroundingsChanged()));
    onCleanup(() => {
      unwatch();
      window.removeEventListener('pagehide', leave);
      player.stop();
    });
  });
  return <video ref={video} class="first-picture" data-testid="first-picture" autoplay playsinline muted aria-label="First picture" />;
}
