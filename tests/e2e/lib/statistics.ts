/** Order statistics of small samples. */

/** The value below which the part `p` (0 to 1) of the sample lies: nearest rank. NaN for an empty one. */
export function percentile(sample: readonly number[], p: number): number {
  const sorted = sample.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

export const median = (sample: readonly number[]): number => percentile(sample, 0.5);

/** As in the tables. */
export const ms = (value: number): string => (Number.isFinite(value) ? `${value.toFixed(0)} ms` : '-');
