/** The time of day as a signal, for texts such as "3 min. ago". */

import { createSignal } from 'solid-js';

const [tick, setTick] = createSignal(Date.now());
setInterval(() => setTick(Date.now()), 15_000);

/** Now, in Unix milliseconds; moves every quarter of a minute. */
export const now = tick;
