/** Capture to shown, side by side: each server in turn, several times, the ages read from the clock in its picture. */

import { median, ms, percentile } from './lib/statistics';
import { launch, serve, Viewer } from './lib/viewer';
import { script } from './lib/xtask';

/** What an encoder, a jitter buffer and a decoder take until they have settled. */
const WARM_UP_MS = 4000;
const METRICS = ['decoded_p50_ms', 'decoded_p95_ms', 'shown_p50_ms', 'shown_p95_ms', 'fps'] as const;
type Run = Record<(typeof METRICS)[number], number>;

await script(async (input, checks) => {
  const { servers = [], runs = 3, seconds = 15, fps = 30 } = input;
  const [heron = '', ...peers] = servers;
  const results = new Map<string, Run[]>(servers.map((server) => [server, []]));
  for (let run = 0; run < runs; run += 1) {
    // Another one first each time: nobody always gets the warmest machine.
    for (const server of [...servers.slice(run % servers.length), ...servers.slice(0, run % servers.length)]) {
      const served = await serve(server);
      const browser = await launch(input.chromium);
      const viewer = await Viewer.watch(browser, served);
      await viewer.wait(WARM_UP_MS);
      const ages = await viewer.ages(seconds * fps);
      await browser.close();
      const result = {
        decoded_p50_ms: median(ages.decoded),
        decoded_p95_ms: percentile(ages.decoded, 0.95),
        shown_p50_ms: median(ages.shown),
        shown_p95_ms: percentile(ages.shown, 0.95),
        fps: ages.fps,
      };
      results.get(server)?.push(result);
      console.log(`run ${run + 1}, ${server}: decoded ${ms(result.decoded_p50_ms)} / ${ms(result.decoded_p95_ms)}, shown ${ms(result.shown_p50_ms)} / ${ms(result.shown_p95_ms)}, ${result.fps.toFixed(1)} fps`);
      checks.expect(ages.shown.length > (seconds * fps) / 3, `${server}: the clock readable in the pictures shown, got ${ages.shown.length}`);
    }
  }
  const sample = (server: string, metric: keyof Run) => (results.get(server) ?? []).map((run) => run[metric]);
  const typical = (server: string, metric: keyof Run) => median(sample(server, metric));
  const better = (metric: keyof Run) => Math.min(...peers.map((peer) => typical(peer, metric)));
  const ratio = (metric: keyof Run) => typical(heron, metric) / better(metric);
  for (const [what, p50, p95] of [
    ['shown', 'shown_p50_ms', 'shown_p95_ms'],
    ['decoded', 'decoded_p50_ms', 'decoded_p95_ms'],
  ] as const) {
    const [own, own95] = [typical(heron, p50), typical(heron, p95)];
    checks.expect(own <= better(p50), `capture to ${what}: a median not above the better peer's ${ms(better(p50))}, got ${ms(own)}`);
    checks.expect(own95 < better(p95), `capture to ${what}: a 95th percentile below the better peer's ${ms(better(p95))}, got ${ms(own95)}`);
  }

  const figures: Record<string, number> = {};
  const spread: Record<string, object> = {};
  for (const server of servers) {
    for (const metric of METRICS) {
      const values = sample(server, metric);
      figures[`${server}_${metric}`] = median(values);
      spread[`${server}_${metric}`] = { min: Math.min(...values), max: Math.max(...values), runs: values };
    }
  }
  for (const metric of METRICS.slice(0, 4)) figures[`ratio_to_better_peer_${metric.replace('_ms', '')}`] = ratio(metric);
  const cell = (server: string, metric: keyof Run) => {
    const values = sample(server, metric);
    return `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)}-${Math.max(...values).toFixed(0)})`;
  };
  return {
    heading: ['server', 'decoded p50', 'decoded p95', 'shown p50', 'shown p95', 'fps'],
    figures: [
      ...servers.map((server) => [
        server,
        ...METRICS.slice(0, 4).map((metric) => `${cell(server, metric)} ms`),
        typical(server, 'fps').toFixed(1),
      ]),
      ['ratio', ...METRICS.slice(0, 4).map((metric) => ratio(metric).toFixed(2)), ''],
    ],
    data: { figures, spread },
    line:
      `latency: capture to shown ${ms(typical(heron, 'shown_p50_ms'))} / ${ms(typical(heron, 'shown_p95_ms'))} (p50 / p95), ` +
      `${ratio('shown_p50_ms').toFixed(2)} / ${ratio('shown_p95_ms').toFixed(2)} of the better peer; ` +
      `to decoded ${ms(typical(heron, 'decoded_p50_ms'))} / ${ms(typical(heron, 'decoded_p95_ms'))}, ` +
      `${ratio('decoded_p50_ms').toFixed(2)} / ${ratio('decoded_p95_ms').toFixed(2)}; ${runs} runs of ${seconds} s`,
  };
});
