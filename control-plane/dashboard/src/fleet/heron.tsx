/**
 * What every page of a signed-in person shares: the person, the link to the broker, and the cameras, kept live.
 */

import { createContext, createSignal, onCleanup, onMount, type ParentProps, useContext } from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';
import { type Camera, forgetIdentityKeys, listCameras } from '../api/cameras';
import { Problem } from '../api/client';
import { type Me, signOut } from '../api/people';
import { Link, type LinkState } from '../signalling/link';
import { watchNetwork } from '../signalling/network';
import { forgetStills } from '../stills/store';
import { withUpdate } from './presence';

/** News of cameras that comes in one burst. */
const SETTLE_MS = 500;

export interface Heron {
  me: Me;
  link: Link;
  linkState(): LinkState;
  cameras: readonly Camera[];
  /** `undefined` until the list was loaded once. */
  loaded(): boolean;
  /** Why the list could not be loaded, in one line. */
  trouble(): string | undefined;
  camera(id: string): Camera | undefined;
  reload(): Promise<void>;
  leave(): Promise<void>;
}

const HeronContext = createContext<Heron>();

/** The shared state; only below {@link HeronProvider}. */
export function useHeron(): Heron {
  const heron = useContext(HeronContext);
  if (!heron) throw new Error('useHeron is for signed-in pages');
  return heron;
}

export function HeronProvider(props: ParentProps<{ me: Me; onSignedOut: () => void }>) {
  const [cameras, setCameras] = createStore<Camera[]>([]);
  const [linkState, setLinkState] = createSignal<LinkState>('connecting');
  const [loaded, setLoaded] = createSignal(false);
  const [trouble, setTrouble] = createSignal<string>();

  const reload = async () => {
    try {
      const list = await listCameras();
      setCameras(reconcile(list, { key: 'id' }));
      setLoaded(true);
      setTrouble(undefined);
    } catch (error) {
      if (error instanceof Problem && error.signedOut) props.onSignedOut();
      else setTrouble((error as Error).message);
    }
  };

  // However many cameras go at once, the list is asked for once.
  let soon: ReturnType<typeof setTimeout> | undefined;
  const reloadSoon = () => {
    clearTimeout(soon);
    soon = setTimeout(() => void reload(), SETTLE_MS);
  };

  const link = new Link({
    state: (state) => {
      setLinkState(state);
      // What changed while nobody listened.
      if (state === 'online') void reload();
    },
    camera: (device, update) => {
      const index = cameras.findIndex(({ id }) => id === device);
      if (index < 0) return void reload();
      const before = cameras[index]?.online;
      setCameras(index, (camera) => withUpdate(camera, update));
      const { online, standing } = cameras[index] as Camera;
      // One that went may have been put out, one that was out may have been let in: the list says.
      if (online !== before && (!online || standing !== 'trusted')) reloadSoon();
    },
    signedOut: () => props.onSignedOut(),
  });

  const wake = () => {
    if (document.visibilityState === 'visible') link.wake();
  };
  onMount(() => {
    void reload();
    document.addEventListener('visibilitychange', wake);
    const unwatch = watchNetwork(() => link.wake());
    onCleanup(unwatch);
  });
  onCleanup(() => {
    clearTimeout(soon);
    document.removeEventListener('visibilitychange', wake);
    link.stop();
  });

  const heron: Heron = {
    me: props.me,
    link,
    linkState,
    cameras,
    loaded,
    trouble,
    camera: (id) => cameras.find((camera) => camera.id === id),
    reload,
    leave: async () => {
      link.stop();
      // Pictures of somebody's home do not stay behind on this machine.
      await Promise.allSettled([signOut(), forgetStills()]);
      forgetIdentityKeys();
      props.onSignedOut();
    },
  };
  return <HeronContext.Provider value={heron}>{props.children}</HeronContext.Provider>;
}
