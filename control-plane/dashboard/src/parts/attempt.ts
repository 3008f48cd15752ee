/** Something that a person asked for: under way, or failed with a sentence. */

import { type Accessor, createSignal } from 'solid-js';

export interface Attempt {
  /** Whether it is under way. */
  busy: Accessor<boolean>;
  /** Why the last one failed. */
  trouble: Accessor<string | undefined>;
  /** Makes an attempt. True when it worked. */
  make: (act: () => Promise<void>) => Promise<boolean>;
}

export function createAttempt(): Attempt {
  const [busy, setBusy] = createSignal(false);
  const [trouble, setTrouble] = createSignal<string>();
  const make = async (act: () => Promise<void>): Promise<boolean> => {
    setBusy(true);
    setTrouble(undefined);
    try {
      await act();
      return true;
    } catch (error) {
      setTrouble((error as Error).message);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, trouble, make };
}
