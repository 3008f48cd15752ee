/** What went wrong, in a sentence that is read out when it appears; with a way to try again where there is one. */

import { Show } from 'solid-js';

export function Trouble(props: { text: string | undefined; onAgain?: () => void; testid?: string }) {
  return (
    <div role="alert">
      <Show when={props.text}>
        {(text) => (
          <p class="trouble" data-testid={props.testid}>
            {text()}
            <Show when={props.onAgain}>
              {(again) => (
                <>
                  {' '}
                  <button class="inline" type="button" onClick={() => again()()}>
                    Try again
                  </button>
                </>
              )}
            </Show>
          </p>
        )}
      </Show>
    </div>
  );
}
