/** The head of the pages about sessions, and the way between them. */

import { For } from 'solid-js';
import { PageLink } from '../parts/link';
import { route } from '../router';

const TABS = [
  { page: 'sessions', href: '/sessions', name: 'Sessions' },
  { page: 'paths', href: '/paths', name: 'Paths' },
  { page: 'network', href: '/network', name: 'My network' },
] as const;

export function SessionsHead(props: { title: string; lead: string }) {
  return (
    <>
      <nav class="tabs" aria-label="About sessions">
        <For each={TABS}>
          {({ page, href, name }) => (
            <PageLink href={href} aria-current={route().page === page ? 'page' : undefined} testId={`tab-${page}`}>
              {name}
            </PageLink>
          )}
        </For>
      </nav>
      <div class="page-head">
        <div>
          <h1>{props.title}</h1>
          <p class="lead">{props.lead}</p>
        </div>
      </div>
    </>
  );
}
