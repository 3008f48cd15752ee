/** A confirmed camera on its way: what is done, what comes next, and in the end its picture. */

import { createEffect, createSignal, For, on, onCleanup, onMount, Show } from 'solid-js';
import { identityOf } from '../api/identity';
import { useHeron } from '../fleet/heron';
import { PageLink } from '../parts/link';
import { Scene } from '../parts/scene';
import { advice, type Seen, steps } from './progress';
import { FirstPicture } from './first-picture';

const POLL_MS = 1000;

export function Arrival(props: { device: string; name: string }) {
  const heron = useHeron();
  const [issued, setIssued] = createSignal(false);
  const [shown, setShown] = createSignal(false);
  const [waited, setWaited] = createSignal(0);
  const seen = (): Seen => ({ issued: issued(), online: heron.camera(props.device)?.online ?? false, shown: shown() });
  const look = async () => {
    const identity = await identityOf(props.device).catch(() => undefined);
    // No answer is no news: the next look may have one.
    if (identity && identity.certificates.length > 0) setIssued(true);
    if (heron.camera(props.device) === undefined) void heron.reload();
  };
  let since = performance.now();
  createEffect(
    on(
      () => JSON.stringify(seen()),
      () => {
        since = performance.now();
        setWaited(0);
      },
    ),
  );
  onMount(() => {
    void look();
    const timer = setInterval(() => {
      setWaited(performance.now() - since);
      if (!issued()) void look();
    }, POLL_MS);
    onCleanup(() => clearInterval(timer));
  });
  return (
    <>
      <div class="page-head">
        <div>
          <h1>{props.name}</h1>
          <p class="lead" role="status">
            {shown() ? 'It is yours, and here is its picture.' : 'It is on its way: this takes a few seconds.'}
          </p>
        </div>
      </div>
      <section class="panel arrival">
        <ol class="steps" data-testid="arrival">
          <For each={steps(seen())}>
            {(step) => (
              <li class={`step step-${step.state}`} data-testid={`step-${step.id}`} data-state={step.state}>
                <span class="step-mark" aria-hidden="true" />
                {step.label}
                <span class="visually-hidden">{step.state === 'done' ? ': done' : ''}</span>
              </li>
            )}
          </For>
        </ol>
        <div class="arrival-picture">
          <Show when={!shown()}>
            <Scene seed={props.device} />
          </Show>
          <FirstPicture device={props.device} onShown={() => setShown(true)} />
        </div>
      </section>
      <div role="status">
        <Show when={advice(seen(), waited())}>{(text) => <p class="hint">{text()}</p>}</Show>
      </div>
      <div class="dialog-actions">
        <PageLink class="secondary" href={`/cameras/${props.device}/identity`}>
          Identity
        </PageLink>
        <PageLink class="primary" href={`/cameras/${props.device}`} testId="arrival-open">
          Open the camera
        </PageLink>
      </div>
    </>
  );
}
