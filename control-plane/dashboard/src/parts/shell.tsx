/** The frame around every page of a signed-in person: where one is, who one is, and how the link does. */

import { type ParentProps, Show } from 'solid-js';
import { useHeron } from '../fleet/heron';
import { route } from '../router';
import { CameraIcon, HistoryIcon, LeaveIcon } from './icons';
import { PageLink } from './link';
import { Logo } from './logo';

export function Shell(props: ParentProps) {
  const heron = useHeron();
  const current = (...pages: string[]) => (pages.includes(route().page) ? 'page' : undefined);
  return (
    <>
      <a class="skip" href="#page">
        Skip to the page
      </a>
      <header class="bar">
        <PageLink class="brand" href="/" aria-label="Heron, all cameras">
          <Logo />
          <span class="wordmark">Heron</span>
        </PageLink>
        <nav class="bar-nav" aria-label="Pages">
          <PageLink href="/" aria-current={current('cameras')}>
            <CameraIcon />
            <span>Cameras</span>
          </PageLink>
          <PageLink href="/sessions" aria-current={current('sessions', 'session', 'paths', 'network')}>
            <HistoryIcon />
            <span>Sessions</span>
          </PageLink>
        </nav>
        <div class="bar-person">
          <span class="bar-name">{heron.me.name}</span>
          <button class="quiet" type="button" data-testid="sign-out" aria-label="Sign out" title="Sign out" onClick={() => void heron.leave()}>
            <LeaveIcon />
          </button>
        </div>
      </header>
      <div class="notices" role="status" aria-live="polite">
        <Show when={heron.linkState() === 'lost'}>
          <p class="notice" data-testid="link-lost">
            Live updates are interrupted: reconnecting… A picture that is running goes on.
          </p>
        </Show>
      </div>
      <main id="page" tabindex="-1">
        {props.children}
      </main>
    </>
  );
}
