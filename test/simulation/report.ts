/** Renders the result of a simulation for a person. */

import type { Invariant } from './invariants/invariant.ts';
import type { FleetLife } from './fleet/fleet-life.ts';
import type { Life } from './simulate.ts';
import type { Sum } from './sum.ts';

export function renderLife({ seed, violation, trace, scenario }: Life, invariants: readonly Invariant[]): string {
  const { invariant = '', node = '', what = '', at = 0 } = violation ?? {};
  const sentence =
    invariants.find(({ name }) => name === invariant)?.sentence ?? 'Every rejected promise has a handler.';
  return [
    '',
    `FAILED  seed ${seed}: ${invariant}`,
    `  ${sentence}`,
    `  But ${node || 'a program'}, ${(at / 1000).toFixed(1)} s after the start: ${what}`,
    `  ${scenario.nodes} nodes, registrar ${scenario.config.registrar}, planted: ${scenario.planted ?? 'nothing'}, denied: ${scenario.denied.join() || 'nothing'}`,
    ...trace,
    `  replay: npm run simulate -- --seed ${seed} --lines 1000`,
    '',
  ].join('\n');
}

export function renderFleetLife(life: FleetLife): string {
  const { seed, scenario, nodes, ms, stats, sweeps, failedSweeps, cpuSeconds } = life;
  return [
    `seed ${seed}: a fleet of ${scenario.nodes} nodes, ${nodes} launched, ${(ms / 3_600_000).toFixed(1)} simulated hours, ${stats.events} events, ${stats.calls} calls, ${cpuSeconds.toFixed(1)} s of CPU`,
    `at most ${life.mostDraining} nodes DRAINING at the same time; full disks may drain ${life.mayDrain}`,
    `${sweeps} sweeps, of which ${failedSweeps} could not read the fleet`,
    '',
    'findings of the sweeps, by outcome',
    ...renderCounts(life.swept),
    '',
    'faults and notices',
    ...renderCounts(stats.faults),
    '',
    'ends by cause',
    ...renderCounts(stats.deaths),
    '',
    life.violation === undefined ? 'no node broke an invariant' : 'FAILED',
  ].join('\n');
}

/** The request, and the CPU time that it took. */
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
    `in ${cpuSeconds.toFixed(1)} s of CPU: ${(sum.seeds / cpuSeconds).toFixed(1)} seeds per second, ${Math.round((hours * 3600) / cpuSeconds)} times as fast as real time`,
    '',
    'faults and notices',
    ...renderCounts(sum.faults),
    '',
    'ends by cause (for nodes that terminated themselves: all their faults)',
    ...renderCounts(sum.deaths),
    '',
    'invariants, and how often each was checked',
    ...invariants.map(({ name, sentence }) => `  ${renderCount(sum.checked.get(name))}  ${name}: ${sentence}`),
    '',
    renderConclusion(sum, run),
  ].join('\n');
}

/** The last line, which CI shows. */
function renderConclusion({ seeds, failed }: Sum, { first, mayBreak }: Run): string {
  if (failed.length === 0) return `${seeds} seeds from ${first}: no life broke an invariant`;
  const word = failed.length > mayBreak ? 'FAILED' : 'A FINDING within --may-break';
  const replays = failed.map((seed) => `  npm run simulate -- --seed ${seed} --lines 1000`);
  return [`${word}: ${failed.length} of ${seeds} seeds from ${first} broke an invariant; replay with`, ...replays].join(
    '\n',
  );
}

function renderCounts(counts: ReadonlyMap<string, number>): string[] {
  return [...counts].toSorted((a, b) => b[1] - a[1]).map(([name, times]) => `  ${renderCount(times)}  ${name}`);
}

function renderCount(times = 0): string {
  return String(times).padStart(10);
}
