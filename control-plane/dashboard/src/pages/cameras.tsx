/** All cameras, as cards with live presence. */

import { createEffect, createSignal, For, Match, onMount, Show, Switch } from 'solid-js';
import { AddCameraDialog } from '../adding/dialog';
import { type Camera, identityKeys } from '../api/cameras';
import { useHeron } from '../fleet/heron';
import { inOrder } from '../fleet/presence';
import { PlusIcon } from '../parts/icons';
import { PageLink } from '../parts/link';
import { PresenceDetail, PresencePill } from '../parts/presence';
import { Scene } from '../parts/scene';
import { StillPicture } from '../parts/still';
import { Trouble } from '../parts/trouble';
import { prepareSpare } from '../rtc/peer';

export function CamerasPage() {
  const heron = useHeron();
  const [adding, setAdding] = createSignal(false);
  const online = () => heron.cameras.filter((camera) => camera.online).length;
  const admin = () => heron.me.role === 'admin';
  onMount(() => {
    document.title = 'Cameras · Heron';
    prepareSpare();
    if (heron.loaded()) void heron.reload();
  });
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Cameras</h1>
          <p class="lead" role="status" aria-live="polite">
            <Show when={heron.loaded() && heron.cameras.length > 0}>{`${online()} of ${heron.cameras.length} online`}</Show>
          </p>
        </div>
        <Show when={admin()}>
          <button class="secondary" type="button" data-testid="add-camera" onClick={() => setAdding(true)}>
            <PlusIcon />
            Add camera
          </button>
        </Show>
      </div>
      <Trouble text={heron.trouble()} onAgain={() => void heron.reload()} />
      <Switch>
        <Match when={!heron.loaded() && heron.trouble() === undefined}>
          <ul class="cards" aria-busy="true" aria-label="Loading cameras">
            <For each={[1, 2, 3]}>{() => <li class="card card-empty" />}</For>
          </ul>
        </Match>
        <Match when={heron.loaded() && heron.cameras.length === 0}>
          <NoCameras admin={admin()} onAdd={() => setAdding(true)} />
        </Match>
        <Match when={heron.loaded()}>
          <ul class="cards">
            <For each={inOrder(heron.cameras)}>{(camera) => <CameraCard camera={camera} />}</For>
          </ul>
        </Match>
      </Switch>
      <Show when={adding()}>
        <AddCameraDialog onClose={() => setAdding(false)} onAdded={() => void heron.reload()} />
      </Show>
    </>
  );
}

function CameraCard(props: { camera: Camera }) {
  // A start then need not wait for the keys.
  const prepare = () => void identityKeys(props.camera.id).known().catch(() => undefined);
  createEffect(() => props.camera.online && prepare());
  return (
    <li class="card" classList={{ 'card-offline': !props.camera.online }}>
      <PageLink href={`/cameras/${props.camera.id}`} testId={`camera-card-${props.camera.id}`} onPointerEnter={prepare} onFocus={prepare}>
        <span class="card-picture">
          <StillPicture device={props.camera.id} name={props.camera.name} />
          <PresencePill online={props.camera.online} standing={props.camera.standing} />
          <span class="card-play" aria-hidden="true">
            <svg viewBox="0 0 24 24">
              <path d="M8 5.500v13l11 -6.500Z" />
            </svg>
          </span>
        </span>
        <span class="card-text">
          <span class="card-name">{props.camera.name}</span>
          <span class="card-detail">
            <PresenceDetail camera={props.camera} />
          </span>
          <span class="card-meta">
            <span>{props.camera.firmware ? `Firmware ${props.camera.firmware}` : 'Firmware unknown'}</span>
            <Show when={props.camera.viewers > 0}>
              <span>{props.camera.viewers === 1 ? '1 viewer' : `${props.camera.viewers} viewers`}</span>
            </Show>
          </span>
        </span>
      </PageLink>
    </li>
  );
}

function NoCameras(props: { admin: boolean; onAdd: () => void }) {
  return (
    <div class="nothing">
      <div class="nothing-scene">
        <Scene seed="no cameras" />
      </div>
      <h2>No cameras yet</h2>
      <Show when={props.admin} fallback={<p>Ask an administrator to add one.</p>}>
        <p>Add one by the code it shows, or with a file on its SD card.</p>
        <button class="primary" type="button" onClick={() => props.onAdd()}>
          Add camera
        </button>
      </Show>
    </div>
  );
}
