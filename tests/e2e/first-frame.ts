/** From the click to the first frame, many times: which phase takes how long. */

import { launch, open } from './lib/dashboard';
import { median, ms, percentile } from './lib/statistics';
import { ask, script } from './lib/xtask';

const BUDGET = { p50: 200, p95: 300, full: 1000 };
/** How long the encoder may take until it may take all it is allowed. */
const FULL_LIMIT_MS = 15_000;
/** How many starts are watched until the picture is as sharp as it gets. */
const FULL_STARTS = 5;
/** As the live page names them, in the order in which they end; times are since the click. */
const PHASES = ['opened', 'answered', 'ice', 'dtls', 'first_frame'] as const;

type Times = Record<`${(typeof PHASES)[number]}_ms`, number | null>;

/** Until the encoder of the full picture may take all it is allowed; Infinity when it may not in time. */
async function untilFull(kbps: number): Promise<number> {
  const begin = performance.now();
  for (;;) {
    const target = /^heron_rung_target_bits_per_second\{rung="main"\} (\d+)$/m.exec(await ask('metrics'));
    const passed = performance.now() - begin;
    if (Number(target?.[1]) >= kbps * 1000) return passed;
    if (passed > FULL_LIMIT_MS) return Number.POSITIVE_INFINITY;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

await script(async (input, checks) => {
  const starts = input.starts ?? 30;
  const browser = await launch(input);
  const dashboard = await open(browser, input);
  const { page } = dashboard;
  // The very first start also compiles the page's code: it is shown, not counted.
  const veryFirst = await dashboard.watch();

  const phases: Record<string, number[]> = Object.fromEntries(PHASES.map((phase) => [phase, []]));
  const totals: number[] = [];
  const full: number[] = [];
  for (let start = 0; start < starts; start += 1) {
    await page.goBack();
    await dashboard.cameraOnline();
    // The one before has ended for the camera too: every start finds it asleep.
    await ask('idle');
    totals.push(await dashboard.start());
    if (start < FULL_STARTS) full.push(await untilFull(input.kbps ?? 0));
    const times = await page.waitForFunction(() => {
      const heron = (window as unknown as { __heron?: { phases?: Times } }).__heron;
      return heron?.phases?.first_frame_ms == null ? undefined : heron.phases;
    });
    const values = (await times.jsonValue()) as Times;
    for (const phase of PHASES) {
      const value = values[`${phase}_ms`];
      if (value !== null) phases[phase]?.push(value);
    }
  }
  await browser.close();

  const p50 = median(totals);
  const p95 = percentile(totals, 0.95);
  checks.expect(p50 <= BUDGET.p50, `a median of at most ${BUDGET.p50} ms, got ${ms(p50)}`);
  checks.expect(p95 <= BUDGET.p95, `a 95th percentile of at most ${BUDGET.p95} ms, got ${ms(p95)}`);
  const sharp = median(full);
  checks.expect(sharp <= BUDGET.full, `the full bitrate at most ${BUDGET.full} ms after the first frame, got ${ms(sharp)}`);

  const rows = [...PHASES.map((phase) => [`${phase} (the page's word)`, phases[phase] ?? []] as const)];
  const all = [...rows, ['first frame shown', totals] as const];
  const spread = (sample: readonly number[]) => ({
    p50: median(sample),
    p95: percentile(sample, 0.95),
    min: percentile(sample, 0),
    max: percentile(sample, 1),
    samples: sample,
  });
  return {
    heading: ['since the click', 'median', 'p95', 'min', 'max'],
    figures: [...all, ['full bitrate, after the first frame', full] as const].map(([name, sample]) => {
      const { p50, p95, min, max } = spread(sample);
      return [name, ms(p50), ms(p95), ms(min), ms(max)];
    }),
    data: {
      figures: { first_frame_p50_ms: p50, first_frame_p95_ms: p95, very_first_ms: veryFirst, starts, full_bitrate_p50_ms: sharp },
      spread: { full: spread(full), ...Object.fromEntries(rows.map(([, sample], at) => [PHASES[at], spread(sample)])), total: spread(totals) },
    },
    line:
      `first-frame: p50 ${ms(p50)} (budget ${BUDGET.p50}), p95 ${ms(p95)} (budget ${BUDGET.p95}) ` +
      `over ${totals.length} starts; the page's very first took ${ms(veryFirst)}; full bitrate ${ms(sharp)} after the first frame`,
  };
});
