/** The field for the code that a camera shows. */

import { createSignal, onMount, Show } from 'solid-js';
import { readCode } from '../text/code';

export function CodeForm(props: { onCode: (code: string) => void }) {
  const [trouble, setTrouble] = createSignal<string>();
  let field!: HTMLInputElement;
  onMount(() => field.focus());
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const code = readCode(field.value);
    if (code === undefined) setTrouble('A code has eight letters and digits, such as ABCD-EFGH; U is never among them.');
    else props.onCode(code);
  };
  return (
    <form onSubmit={submit}>
      <label class="field">
        <span>Code</span>
        <input
          ref={field}
          class="code-field"
          required
          maxlength="128"
          placeholder="ABCD-EFGH"
          autocomplete="off"
          autocapitalize="characters"
          spellcheck={false}
          data-testid="pairing-code"
          onInput={() => setTrouble(undefined)}
        />
      </label>
      <div role="alert">
        <Show when={trouble()}>{(text) => <p class="trouble">{text()}</p>}</Show>
      </div>
      <div class="dialog-actions">
        <button class="primary" type="submit" data-testid="pairing-code-submit">
          Find the camera
        </button>
      </div>
    </form>
  );
}
