/** The whole page: the door while nobody is signed in, else the frame with the page of the address. */

import { createEffect, createSignal, Match, on, onMount, Show, Switch } from 'solid-js';
import { type Me, whoAmI } from './api/people';
import { HeronProvider } from './fleet/heron';
import { CamerasPage } from './pages/cameras';
import { IdentityPage } from './pages/identity';
import { LivePage } from './pages/live';
import { NetworkPage } from './pages/network';
import { PairPage } from './pages/pair';
import { PathsPage } from './pages/paths';
import { SessionPage } from './pages/session';
import { SessionsPage } from './pages/sessions';
import { SignInPage } from './pages/sign-in';
import { PageLink } from './parts/link';
import { Shell } from './parts/shell';
import { route } from './router';

/** `undefined` while asking, `null` when nobody is signed in. */
type Person = Me | null | undefined;

export function App() {
  const [me, setMe] = createSignal<Person>();
  const [trouble, setTrouble] = createSignal<string>();
  const ask = async () => {
    setTrouble(undefined);
    try {
      setMe((await whoAmI()) ?? null);
    } catch (error) {
      setTrouble((error as Error).message);
    }
  };
  onMount(() => void ask());
  return (
    <Switch fallback={<Show when={trouble()}>{(text) => <Unanswered text={text()} onAgain={() => void ask()} />}</Show>}>
      <Match when={me() === null}>
        <SignInPage onSignedIn={setMe} />
      </Match>
      <Match when={me()}>
        {(me) => (
          <HeronProvider me={me()} onSignedOut={() => setMe(null)}>
            <Shell>
              <Pages onSignedOut={() => setMe(null)} />
            </Shell>
          </HeronProvider>
        )}
      </Match>
    </Switch>
  );
}

function Pages(props: { onSignedOut: () => void }) {
  const live = () => {
    const current = route();
    return current.page === 'live' ? current.device : undefined;
  };
  const identity = () => {
    const current = route();
    return current.page === 'identity' ? current.device : undefined;
  };
  const pair = () => {
    const current = route();
    return current.page === 'pair' ? current.code : undefined;
  };
  const session = () => {
    const current = route();
    return current.page === 'session' ? current.session : undefined;
  };
  // A reader of the screen begins each page at its top.
  createEffect(
    on(
      () => JSON.stringify(route()),
      () => {
        document.getElementById('page')?.focus({ preventScroll: true });
        window.scrollTo(0, 0);
      },
      { defer: true },
    ),
  );
  return (
    <Switch>
      <Match when={route().page === 'cameras'}>
        <CamerasPage />
      </Match>
      <Match when={live()} keyed>
        {(device) => <LivePage device={device} />}
      </Match>
      <Match when={identity()} keyed>
        {(device) => <IdentityPage device={device} />}
      </Match>
      <Match when={pair()} keyed>
        {(code) => <PairPage code={code} />}
      </Match>
      <Match when={route().page === 'sessions'}>
        <SessionsPage onSignedOut={props.onSignedOut} />
      </Match>
      <Match when={session()} keyed>
        {(session) => <SessionPage session={session} onSignedOut={props.onSignedOut} />}
      </Match>
      <Match when={route().page === 'paths'}>
        <PathsPage onSignedOut={props.onSignedOut} />
      </Match>
      <Match when={route().page === 'network'}>
        <NetworkPage />
      </Match>
      <Match when={route().page === 'unknown'}>
        <div class="nothing">
          <h1>Nothing here</h1>
          <p>The address leads to no page.</p>
          <PageLink class="secondary" href="/">
            All cameras
          </PageLink>
        </div>
      </Match>
    </Switch>
  );
}

function Unanswered(props: { text: string; onAgain: () => void }) {
  return (
    <main class="nothing" role="alert">
      <h1>No answer</h1>
      <p>{props.text}</p>
      <button class="primary" type="button" onClick={() => props.onAgain()}>
        Try again
      </button>
    </main>
  );
}
