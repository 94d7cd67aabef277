/** What a person reads after a simulation. */

import type { Invariant } from './invariants/invariant.ts';
import type { Life } from './simulate.ts';
import type { Sum } from './sum.ts';

export function renderLife({ seed, violation, trace, scenario }: Life, invariants: readonly Invariant[]): string {
  const { invariant = '', node = '', what = '', at = 0 } = violation ?? {};
  const sentence =
    invariants.find(({ name }) => name === invariant)?.sentence ?? 'No promise is left without a handler.';
  return [
    '',
    `FAILED  seed ${seed}: ${invariant}`,
    `  ${sentence}`,
    `  But ${node || 'somebody'}, ${(at / 1000).toFixed(1)} s after the beginning: ${what}`,
    `  ${scenario.nodes} nodes, registrar ${scenario.config.registrar}, planted: ${scenario.planted ?? 'nothing'}, denied: ${scenario.denied.join() || 'nothing'}`,
    ...trace,
    `  replay: npm run simulate -- --seed ${seed} --lines 1000`,
    '',
  ].join('\n');
}

/** What was asked for, and what it took. */
interface Run {
  first: number;
  mayBreak: number;
  cpuSeconds: number;
}

export function renderSummary(sum: Sum, run: Run, invariants: readonly Invariant[]): string {
  const { cpuSeconds } = run;
  const hours = sum.ms / 3_600_000;
  return [
    `${sum.seeds} seeds, ${sum.nodes} nodes, ${hours.toFixed(1)} simulated hours, ${sum.events} events, ${sum.calls} calls`,
    `in ${cpuSeconds.toFixed(1)} s of CPU: ${(sum.seeds / cpuSeconds).toFixed(1)} seeds per second, ${Math.round((hours * 3600) / cpuSeconds)} times as fast as time`,
    '',
    'faults and notices',
    ...renderCounts(sum.faults),
    '',
    'deaths by cause (of nodes that ended themselves: all that was wrong with them)',
    ...renderCounts(sum.deaths),
    '',
    'invariants, and how often each was checked',
    ...invariants.map(({ name, sentence }) => `  ${renderCount(sum.checked.get(name))}  ${name}: ${sentence}`),
    '',
    renderConclusion(sum, run),
  ].join('\n');
}

/** The last line that a person reads, and CI shows. */
function renderConclusion({ seeds, failed }: Sum, { first, mayBreak }: Run): string {
  if (failed.length === 0) return `${seeds} seeds from ${first}: all kept every promise`;
  const word = failed.length > mayBreak ? 'FAILED' : 'A FINDING, and not yet a failure';
  const replays = failed.map((seed) => `  npm run simulate -- --seed ${seed} --lines 1000`);
  return [`${word}: ${failed.length} of ${seeds} seeds from ${first} broke a promise; replay with`, ...replays].join(
    '\n',
  );
}

function renderCounts(counts: ReadonlyMap<string, number>): string[] {
  return [...counts].toSorted((a, b) => b[1] - a[1]).map(([name, times]) => `  ${renderCount(times)}  ${name}`);
}

function renderCount(times = 0): string {
  return String(times).padStart(10);
}
