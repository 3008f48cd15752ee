/** The line of live figures below the picture. */

import { For, type JSX } from 'solid-js';
import type { Rung } from '../rtc/call';
import { type Figures, relayed } from '../rtc/figures';
import type { ViewerPhases } from '../signalling/messages';
import { bitRate, milliseconds } from '../text/format';
import { pathSentence } from '../text/paths';

interface Figure {
  name: string;
  value: string | undefined;
  /** Said when pointed at. */
  hint?: string | undefined;
}

const LATENCY_HINTS = {
  measured: 'From capture to display, by the capture time that travels with each picture',
  estimated: 'Network, buffer and decoder in this browser; what the camera itself needs comes on top',
} as const;

const STREAMS = {
  main: { name: 'Full', hint: 'The full picture, at the bitrate that this path and the other viewers allow' },
  sub: { name: 'Small', hint: 'The smaller picture, since this path does not carry the full one' },
} as const;

export function FiguresLine(props: { figures: Figures | undefined; rung: Rung | null; phases: ViewerPhases | undefined }) {
  const list = (): Figure[] => describe(props.figures, props.rung, props.phases);
  return (
    <dl class="figures" data-testid="live-figures" aria-label="Live figures">
      <For each={list()}>{(figure) => <Cell {...figure} />}</For>
    </dl>
  );
}

function Cell(props: Figure): JSX.Element {
  return (
    <div class="figure" title={props.hint}>
      <dt>{props.name}</dt>
      <dd classList={{ unknown: props.value === undefined }}>{props.value ?? '–'}</dd>
    </div>
  );
}

function describe(now: Figures | undefined, rung: Rung | null, phases: ViewerPhases | undefined): Figure[] {
  const known = <T,>(value: T | null | undefined, show: (value: T) => string) =>
    value === null || value === undefined ? undefined : show(value);
  const estimated = now?.latencyMethod === 'estimated';
  return [
    { name: 'Resolution', value: now?.width ? `${now.width}×${now.height}` : undefined, hint: now?.codec ?? undefined },
    { name: 'Stream', value: known(rung, (rung) => STREAMS[rung].name), hint: rung ? STREAMS[rung].hint : undefined },
    { name: 'Frame rate', value: known(now?.fps, (fps) => `${Math.round(fps)} fps`) },
    { name: 'Bitrate', value: known(now?.kbps, bitRate) },
    {
      name: 'Path',
      value: known(now?.path, (path) => (relayed(path) ? 'Relayed' : 'Direct')),
      hint: known(now?.path, pathSentence),
    },
    { name: 'Round trip', value: known(now?.roundTripMs, milliseconds) },
    {
      name: 'Latency',
      value: known(now?.latencyMs, (ms) => `${estimated ? '≈ ' : ''}${Math.round(ms)} ms`),
      hint: now?.latencyMethod ? LATENCY_HINTS[now.latencyMethod] : undefined,
    },
    {
      name: 'Started in',
      value: known(phases?.first_frame_ms, milliseconds),
      hint: 'From the click to the first picture on the screen',
    },
  ];
}
