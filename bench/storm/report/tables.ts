/** The tables of a storm: the first row is the head. */

import type { BadImage } from '../acts/bad-image-act.ts';
import type { Launch } from '../acts/launch-act.ts';
import { limits } from '../limits.ts';
import type { Reclaim } from '../acts/reclaim-act.ts';
import { actionsOf, perNode, total, type Side, type Traffic } from '../traffic.ts';

export function tabulateLaunches(launches: readonly Launch[]): string[][] {
  return [
    ['', 'in service', 'half', '99 %', 'all', 'ideal', 'calls per node', 'throttled', 'false terminations', 'CPU s'],
    ...launches.map((launch) => {
      const { label, nodes, inServiceMs, traffic, wrongly, idealMs, cpuMs } = launch;
      const at = (share: number) => {
        const ms = inServiceMs[Math.ceil(share * nodes) - 1];
        return ms === undefined ? 'never' : renderTime(ms);
      };
      return [
        label,
        `${inServiceMs.length} of ${nodes}`,
        at(0.5),
        at(0.99),
        at(1),
        renderTime(idealMs(nodes)),
        (total(traffic.sent) / nodes).toFixed(1),
        renderShare(traffic),
        String(wrongly),
        renderCpu(cpuMs),
      ];
    }),
  ];
}

/** Tabulates the calls sent per node, and those that AWS answered. */
export function tabulateCalls(sides: readonly Side[]): string[][] {
  return [
    ['calls per node: sent (answered)', ...sides.map(({ label }) => label)],
    ...actionsOf(sides).map((action) => [action, ...sides.map((side) => renderCalls(side, action))]),
  ];
}

function renderCalls(side: Side, action: string): string {
  const { sent, answered } = perNode(side, action);
  return sent === 0 ? '' : `${sent.toFixed(1)} (${answered.toFixed(1)})`;
}

export function tabulateReclaim({ reclaimed, drainingMs, never, traffic, wrongly, cpuMs }: Reclaim): string[][] {
  const at = (share: number) => renderSeconds(drainingMs[Math.ceil(share * drainingMs.length) - 1] ?? Number.NaN);
  const side = { label: '', nodes: reclaimed, traffic };
  return [
    ['', `${reclaimed} nodes at once`],
    ['notice to DRAINING: half', at(0.5)],
    ['… 99 %', at(0.99)],
    ['… all', at(1)],
    ['not within the two minutes', String(never + drainingMs.filter((ms) => ms > 120_000).length)],
    ['throttled answers', renderShare(traffic)],
    ['false terminations among the others', String(wrongly)],
    ...actionsOf([side]).map((action) => [`${action}, per reclaimed node`, renderCalls(side, action)]),
    ['simulated in, CPU s', renderCpu(cpuMs)],
  ];
}

export function tabulateBadImage({ counts, launched, cpuMs }: BadImage): string[][] {
  const rows = [1, 5, 15, 60, 120, 180, 240].filter((minutes) => minutes < counts.length);
  return [
    ['minutes', 'alive', 'of them held', 'died so far'],
    ...rows.map((minutes) => {
      const { alive, waiting, dead } = counts[minutes]!;
      return [String(minutes), String(alive), String(waiting), String(dead)];
    }),
    ['launched in all', String(launched), '', ''],
    ['simulated in, CPU s', renderCpu(cpuMs), '', ''],
  ];
}

export function tabulateLimits(): string[][] {
  return [
    ['bucket', 'burst', 'per second', 'source'],
    ...limits.map(({ name, burst, perSecond, assumed }) => [
      name,
      String(burst),
      String(perSecond),
      assumed ? 'assumed' : 'documented',
    ]),
  ];
}

function renderTime(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function renderCpu(ms: number): string {
  return (ms / 1000).toFixed(0);
}

function renderSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function renderShare({ sent, throttled }: Traffic): string {
  return `${((100 * total(throttled)) / Math.max(1, total(sent))).toFixed(0)} %`;
}
