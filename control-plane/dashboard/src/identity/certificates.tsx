/** The certificates of a camera, newest first. */

import { For, Show } from 'solid-js';
import type { Certificate } from '../api/identity';
import { now } from '../parts/ticking';
import { fingerprint } from '../text/fingerprint';
import { ago, day, sentence } from '../text/format';
import { certificateWords } from './words';

export function Certificates(props: { certificates: readonly Certificate[] }) {
  return (
    <Show when={props.certificates.length > 0} fallback={<p class="hint">It has none yet.</p>}>
      <ul class="certificates" data-testid="certificates">
        <For each={props.certificates}>{(certificate) => <One certificate={certificate} />}</For>
      </ul>
    </Show>
  );
}

function One(props: { certificate: Certificate }) {
  const words = () => certificateWords(props.certificate.state);
  const used = () => props.certificate.first_used_ms;
  return (
    <li data-state={props.certificate.state}>
      <div class="certificate-head">
        <span class={`tag tag-${words().tone}`}>{words().text}</span>
        <span>
          {day(props.certificate.issued_ms)} to {day(props.certificate.not_after_ms)}
        </span>
      </div>
      <p class="hint">
        {used() === null ? 'Never used' : `First used ${ago(used() ?? 0, now())}`}
        <Show when={props.certificate.reason}>{(reason) => `. ${sentence(reason())}`}</Show>
      </p>
      <details>
        <summary>Serial number and fingerprint</summary>
        <code class="fingerprint">{props.certificate.serial}</code>
        <code class="fingerprint">{fingerprint(props.certificate.fingerprint)}</code>
      </details>
    </li>
  );
}
