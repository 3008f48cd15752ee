/**
 * What stands in for a picture that nobody has taken yet: a heron at the water's edge, in a light and at a place that
 * depend on the camera, so that cameras without a still can be told apart.
 */

import { createUniqueId, For } from 'solid-js';
import { StandingHeron } from './logo';

const REEDS = [
  [0, 52, 5],
  [7, 66, -4],
  [13, 40, 3],
  [21, 58, 7],
  [29, 34, -3],
] as const;

/** `tall`: for a place that is higher than wide; the sun moves in, so that it and the heron are both seen. */
export function Scene(props: { seed: string; tall?: boolean }) {
  const id = createUniqueId();
  const seed = () => hash(props.seed);
  const kind = () => (seed() >>> 9) % 4;
  const mirrored = () => !props.tall && (seed() >>> 5) % 2 === 1;
  const sun = () => (props.tall ? 172 : 70 + ((seed() >>> 13) % 60));
  return (
    <svg
      class={`scene scene-${kind()}`}
      viewBox={props.tall ? '138 0 166 180' : '0 0 320 180'}
      preserveAspectRatio={props.tall ? 'xMidYMax slice' : 'xMidYMid slice'}
      aria-hidden="true"
    >
      <defs>
        <linearGradient id={`${id}-sky`} x1="0" y1="0" x2="0" y2="1">
          <stop class="sky-high" offset="0" />
          <stop class="sky-low" offset="1" />
        </linearGradient>
        <linearGradient id={`${id}-water`} x1="0" y1="0" x2="0" y2="1">
          <stop class="water-far" offset="0" />
          <stop class="water-near" offset="1" />
        </linearGradient>
      </defs>
      <rect width="320" height="126" fill={`url(#${id}-sky)`} />
      <g transform={mirrored() ? 'translate(320 0) scale(-1 1)' : undefined}>
        <circle class="sun" cx={sun()} cy="74" r="21" />
        <path class="hills-far" d="M0 108C40 92 74 100 112 104C160 90 204 82 250 98C280 106 302 98 320 94V128H0Z" />
        <path class="hills-near" d="M0 119C54 108 96 116 150 118C208 112 262 110 320 117V130H0Z" />
        <rect y="124" width="320" height="56" fill={`url(#${id}-water)`} />
        <path class="glint" d={`M${sun() - 20} 131h40M${sun() - 13} 138h30M${sun() - 17} 146h24M${sun() - 6} 155h16`} />
        <path class="ripple" d="M206 158h44M194 163h70M214 168h34" />
        <g transform="translate(228 158) scale(1.12)">
          <StandingHeron />
        </g>
        <g transform="translate(276 180)">
          <For each={REEDS}>
            {([x, height, lean]) => <path class="reed" d={`M${x} 2Q${x} ${-height / 2} ${x + lean} ${-height}`} />}
          </For>
          <path class="reed-head" d="M-1 -50v-12M3.500 -62v-12M25 -52l3 -12" />
        </g>
      </g>
    </svg>
  );
}

/** A small number that depends on the text (FNV-1a). */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return value;
}
