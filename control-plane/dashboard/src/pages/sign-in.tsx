/** The door: name and password. */

import { createSignal, onMount, Show } from 'solid-js';
import { type Me, signIn } from '../api/people';
import { Logo } from '../parts/logo';
import { Scene } from '../parts/scene';

export function SignInPage(props: { onSignedIn: (me: Me) => void }) {
  const [trouble, setTrouble] = createSignal<string>();
  const [busy, setBusy] = createSignal(false);
  let name!: HTMLInputElement;
  let password!: HTMLInputElement;

  onMount(() => {
    document.title = 'Sign in · Heron';
    name.focus();
  });

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setTrouble(undefined);
    try {
      props.onSignedIn(await signIn(name.value, password.value));
    } catch (error) {
      setBusy(false);
      setTrouble((error as Error).message);
      password.select();
    }
  };

  return (
    <main class="door">
      <div class="door-scene">
        <Scene seed="the door" tall />
      </div>
      <form class="door-form" onSubmit={(event) => void submit(event)}>
        <div class="brand">
          <Logo />
          <span class="wordmark">Heron</span>
        </div>
        <h1>Sign in</h1>
        <p class="lead">See what your cameras see, live.</p>
        <label class="field">
          <span>Name</span>
          <input ref={name} name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required data-testid="sign-in-name" />
        </label>
        <label class="field">
          <span>Password</span>
          <input ref={password} name="password" type="password" autocomplete="current-password" required data-testid="sign-in-password" />
        </label>
        <div role="alert">
          <Show when={trouble()}>{(text) => <p class="trouble" data-testid="sign-in-trouble">{text()}</p>}</Show>
        </div>
        <button class="primary" type="submit" disabled={busy()} data-testid="sign-in-submit">
          {busy() ? 'Signing in…' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
