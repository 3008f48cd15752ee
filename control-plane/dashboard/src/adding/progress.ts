/** How far a camera has come from the confirmation of its code to its first picture. Pure. */

export interface Seen {
  /** Its certificate is there. */
  issued: boolean;
  /** It is connected to the broker. */
  online: boolean;
  /** A picture of it is on the screen. */
  shown: boolean;
}

export interface Step {
  id: 'confirmed' | 'issued' | 'online' | 'shown';
  label: string;
  state: 'done' | 'now' | 'later';
}

/** The steps in their order. A later one that was seen stands for those before it: news travels on several ways. */
export function steps({ issued, online, shown }: Seen): Step[] {
  const reached = shown ? 4 : online ? 3 : issued ? 2 : 1;
  const labels = [
    ['confirmed', 'Confirmed'],
    ['issued', 'Certificate issued'],
    ['online', 'Connected'],
    ['shown', 'First picture'],
  ] as const;
  return labels.map(([id, label], index) => ({
    id,
    label,
    state: index < reached ? 'done' : index === reached ? 'now' : 'later',
  }));
}

/** Longer than a camera on a slow link takes for any one step. */
const PATIENCE_MS = 30_000;

/** What to look at when a step takes too long, `waited_ms` since the last one; empty while all is well. */
export function advice(seen: Seen, waited_ms: number): string {
  if (waited_ms < PATIENCE_MS || seen.shown) return '';
  if (seen.online) return 'The camera is connected and sends no picture yet. Its page says what it waits for.';
  if (seen.issued) return "The camera has its certificate and does not connect. Can it reach the broker's port (8883)?";
  return 'The camera has not fetched its certificate. Is it still switched on and on the network?';
}
