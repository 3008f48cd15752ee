/** A camera's last still, drawn on a canvas; the scene where there is none. */

import { createResource, Show } from 'solid-js';
import { lastStill, type Still, stillChanges } from '../stills/store';
import { ago } from '../text/format';
import { Scene } from './scene';
import { now } from './ticking';

export function StillPicture(props: { device: string; name: string }) {
  const [still] = createResource(
    () => [props.device, stillChanges()] as const,
    ([device]) => lastStill(device),
  );
  return (
    <Show when={still.latest} keyed fallback={<Scene seed={props.device} />}>
      {(still) => (
        <>
          <canvas class="still" ref={(canvas) => void draw(canvas, still)} role="img" aria-label={`Last picture of ${props.name}`} />
          <span class="still-time">{ago(still.at, now())}</span>
        </>
      )}
    </Show>
  );
}

// A canvas needs no image address, so the page's policy can forbid blob: and data: pictures.
async function draw(canvas: HTMLCanvasElement, still: Still): Promise<void> {
  const picture = await createImageBitmap(still.picture);
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext('2d')?.drawImage(picture, 0, 0);
  picture.close();
}
