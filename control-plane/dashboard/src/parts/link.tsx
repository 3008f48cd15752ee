/** A link to another page of this application; a real one, so that it opens in tabs and works by keyboard. */

import type { JSX } from 'solid-js';
import { go } from '../router';

type Props = Omit<JSX.AnchorHTMLAttributes<HTMLAnchorElement>, 'onClick'> & { href: string; testId?: string };

export function PageLink(props: Props) {
  const follow = (event: MouseEvent) => {
    // Opening in another tab or window stays the browser's business.
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(props.href, event.timeStamp);
  };
  return (
    <a
      href={props.href}
      class={props.class}
      aria-label={props['aria-label']}
      aria-current={props['aria-current']}
      data-testid={props.testId}
      onClick={follow}
      onPointerEnter={props.onPointerEnter}
      onFocus={props.onFocus}
    >
      {props.children}
    </a>
  );
}
