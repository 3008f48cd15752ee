/** The door: name and password. */

import { onMount } from 'solid-js';
import { type Me, signIn } from '../api/people';
import { createAttempt } from '../parts/attempt';
import { Logo } from '../parts/logo';
import { Scene } from '../parts/scene';
import { Trouble } from '../parts/trouble';

export function SignInPage(props: { onSignedIn: (me: Me) => void }) {
  const attempt = createAttempt();
  let name!: HTMLInputElement;
  let password!: HTMLInputElement;

  onMount(() => {
    document.title = 'Sign in · Heron';
    name.focus();
  });

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const done = await attempt.make(async () => props.onSignedIn(await signIn(name.value, password.value)));
    if (!done) password.select();
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
        <Trouble text={attempt.trouble()} testid="sign-in-trouble" />
        <button class="primary" type="submit" disabled={attempt.busy()} data-testid="sign-in-submit">
          {attempt.busy() ? 'Signing in…' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
