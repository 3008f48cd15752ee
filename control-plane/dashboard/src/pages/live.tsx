/** One camera, live: wires the player to the picture, the figures and the keyboard. */

import { createEffect, createSignal, on, onCleanup, onMount, Show } from 'solid-js';
import { identityKeys } from '../api/cameras';
import { useHeron } from '../fleet/heron';
import { expose } from '../live/debug';
import { FiguresLine } from '../live/figures-line';
import { createFullScreen } from '../live/full-screen';
import { createImage } from '../live/image';
import { NetworkPanel } from '../live/network-panel';
import { ImagePanel } from '../live/image-panel';
import { watchFrames } from '../live/shown-frames';
import { createSnapshot } from '../live/snapshot';
import { createSound } from '../live/sound';
import { Stage, type Trust } from '../live/stage';
import { statusText } from '../live/status';
import { createTalk } from '../live/talk';
import { BackIcon, TrustedIcon } from '../parts/icons';
import { PageLink } from '../parts/link';
import { PresencePill } from '../parts/presence';
import { now } from '../parts/ticking';
import { go, movedAt } from '../router';
import type { Rung } from '../rtc/call';
import type { Figures } from '../rtc/figures';
import { Player, type Status } from '../rtc/player';
import type { ViewerPhases } from '../signalling/messages';
import { watchNetwork } from '../signalling/network';
import { ago } from '../text/format';
import { offlineReason } from '../text/reasons';

export function LivePage(props: { device: string }) {
  const heron = useHeron();
  const missing = () => heron.loaded() && heron.camera(props.device) === undefined;
  return (
    <Show when={!missing()} fallback={<Unknown />}>
      <Watch device={props.device} />
    </Show>
  );
}

function Watch(props: { device: string }) {
  const heron = useHeron();
  const camera = () => heron.camera(props.device);
  const name = () => camera()?.name ?? props.device;
  const [status, setStatus] = createSignal<Status>({ at: 'opening' });
  const [figures, setFigures] = createSignal<Figures>();
  const [phases, setPhases] = createSignal<ViewerPhases>();
  const [trusted, setTrusted] = createSignal(false);
  const [rung, setRung] = createSignal<Rung | null>(null);
  const [mayTalk, setMayTalk] = createSignal(false);
  const [reachable, setReachable] = createSignal(false);
  const [settingsOpen, setSettingsOpen] = createSignal(false);
  const sound = createSound();
  let stage!: HTMLElement;
  let video!: HTMLVideoElement;
  const fullScreen = createFullScreen(
    () => stage,
    () => video,
  );

  const player = new Player(
    props.device,
    {
      signals: heron.link,
      linked: () => heron.linkState() === 'online',
      // Until the list is here, the control plane is asked; it knows.
      online: () => camera()?.online ?? !heron.loaded(),
      keys: identityKeys(props.device),
    },
    {
      status: (status) => {
        setStatus(status);
        if (status.at === 'playing' || status.at === 'interrupted') return;
        setFigures(undefined);
        setMayTalk(false);
        setReachable(false);
        image.attach(undefined);
        talk.reset();
      },
      media: (stream) => {
        if (video.srcObject !== stream) video.srcObject = stream;
      },
      figures: (figures) => {
        setFigures(figures);
        setPhases(player.call?.phases.report());
        setMayTalk(player.call?.mayTalk ?? false);
        setReachable(player.call?.reachable ?? false);
        if (reachable()) image.attach(player.call);
      },
      rung: setRung,
      trusted: setTrusted,
      notified: (method) => {
        if (method === 'talk.ended') talk.taken();
      },
    },
  );

  const talk = createTalk(() => (player.call?.mayTalk ? player.call : undefined));
  const image = createImage();
  const snapshot = createSnapshot(() => (reachable() ? player.call : undefined), name);
  const settings = {
    there: () => image.controls.length > 0,
    open: settingsOpen,
    toggle: () => setSettingsOpen(!settingsOpen()),
  };

  // Before anything is drawn: the camera answers meanwhile.
  player.start(movedAt() ?? performance.now());
  onCleanup(() => leaving());

  const reportedTest = () => (camera()?.state['network'] as { self_test?: unknown } | undefined)?.self_test;
  const text = () => statusText(status(), absence(), camera()?.standing);
  const trust = (): Trust => {
    const current = status();
    if (current.at === 'stopped' && current.end.reason === 'untrusted') return 'refused';
    return trusted() ? 'verified' : 'pending';
  };

  function absence(): string {
    const reason = offlineReason(camera()?.reason ?? null);
    const since = camera()?.since_ms;
    if (since === null || since === undefined) return 'It has never connected yet.';
    return `Since ${ago(since, now())}${reason ? `: ${reason}` : ''}.`;
  }

  const again = () => player.start(performance.now());

  const shortcut = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    // Letters choose in a menu.
    if (event.target instanceof HTMLSelectElement) return;
    if (event.key === 'm') sound.toggle();
    else if (event.key === 't' && mayTalk()) talk.toggle();
    else if (event.key === 's') snapshot.take();
    else if (event.key === 'p' && settings.there()) settings.toggle();
    else if (event.key === 'f') fullScreen.toggle();
    else if (event.key === 'Escape' && !fullScreen.active()) go('/');
  };

  const leaving = () => {
    talk.reset();
    player.stop();
  };

  onMount(() => {
    sound.attach(video);
    const unwatch = watchFrames(video, (frame) => player.shown(frame));
    const hide = expose(player);
    document.addEventListener('keydown', shortcut);
    window.addEventListener('pagehide', leaving);
    const unwatchNetwork = watchNetwork(() => player.networkChanged());
    onCleanup(() => {
      unwatchNetwork();
      unwatch();
      hide();
      document.removeEventListener('keydown', shortcut);
      window.removeEventListener('pagehide', leaving);
    });
  });
  createEffect(on([heron.linkState, heron.loaded, () => camera()?.online], () => player.surroundingsChanged()));
  // Let in again, it need not be asked for again.
  createEffect(
    on(
      () => camera()?.standing,
      (standing, before) => {
        if (standing === 'trusted' && before !== undefined && before !== 'trusted') again();
      },
    ),
  );
  createEffect(() => (document.title = `${name()} · Heron`));

  return (
    <div class="live">
      <div class="live-head">
        <PageLink class="quiet" href="/" aria-label="Back to all cameras">
          <BackIcon />
        </PageLink>
        <h1>{name()}</h1>
        <Show when={camera()}>{(camera) => <PresencePill online={camera().online} standing={camera().standing} />}</Show>
        <PageLink class="live-identity" href={`/cameras/${props.device}/identity`} aria-label="Identity" testId="identity-link">
          <TrustedIcon />
          <span>Identity</span>
        </PageLink>
      </div>
      <div class="viewing">
        <Stage
          device={props.device}
          name={name()}
          status={text()}
          trust={trust()}
          sound={sound}
          talk={talk}
          mayTalk={mayTalk()}
          reachable={reachable()}
          snapshot={snapshot}
          settings={settings}
          fullScreen={fullScreen}
          stage={(element) => (stage = element)}
          video={(element) => (video = element)}
          onAgain={again}
        />
        <Show when={settings.there() && settingsOpen()}>
          <ImagePanel image={image} onClose={() => setSettingsOpen(false)} />
        </Show>
      </div>
      <FiguresLine figures={figures()} rung={rung()} phases={phases()} />
      <NetworkPanel
        path={figures()?.path ?? null}
        reported={reportedTest()}
        call={reachable() ? player.call : undefined}
      />
      <p class="keys" aria-hidden="true">
        <kbd>m</kbd> sound <Show when={mayTalk()}><kbd>t</kbd> talk </Show><kbd>s</kbd> save a picture <Show when={settings.there()}><kbd>p</kbd> picture </Show><kbd>f</kbd> full screen <kbd>Esc</kbd> back
      </p>
    </div>
  );
}

function Unknown() {
  return (
    <div class="nothing">
      <h1>There is no such camera</h1>
      <p>It was removed, or the address is mistyped.</p>
      <PageLink class="secondary" href="/">
        All cameras
      </PageLink>
    </div>
  );
}
