/** The phases of a start as a bar, each as long as it took; a second fills it. */

import { For, Show } from 'solid-js';
import type { SessionPhases } from '../api/sessions';

const PHASE_NAMES = [
  ['signal_ms', 'signalling'],
  ['ice_ms', 'path'],
  ['dtls_ms', 'encryption'],
  ['first_packet_ms', 'first packet'],
  ['first_frame_ms', 'first picture'],
] as const;

export function PhaseBar(props: { phases: SessionPhases }) {
  const known = () => {
    let before = 0;
    return PHASE_NAMES.flatMap(([key, name]) => {
      const end = props.phases[key];
      if (end === null || end < before) return [];
      const part = { name, from: before, took: end - before };
      before = end;
      return [part];
    });
  };
  const total = () => known().reduce((sum, { took }) => sum + took, 0);
  const words = () => known().map(({ name, took }) => `${name} ${Math.round(took)} ms`);
  const scale = () => 100 / Math.max(1000, total());
  return (
    <Show when={known().length > 0} fallback="–">
      <span class="phases" title={words().join(', ')}>
        <svg class="phase-bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={words().join(', ')}>
          <rect class="phase-ground" width="100" height="6" />
          <For each={known()}>
            {({ from, took }, index) => (
              <rect class={`phase-${index()}`} x={from * scale()} width={Math.max(0.5, took * scale())} height="6" />
            )}
          </For>
        </svg>
        {Math.round(total())} ms
      </span>
    </Show>
  );
}
