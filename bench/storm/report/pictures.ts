/** The pictures of a storm. */

import type { BadImage } from '../acts/bad-image-act.ts';
import { renderBars } from './bars.ts';
import { renderChart, type Series } from './chart.ts';
import type { Launch } from '../acts/launch-act.ts';
import type { Reclaim } from '../acts/reclaim-act.ts';
import { actionsOf, perNode, type Side } from '../traffic.ts';

const minuteMs = 60_000;

/** SVGs by file name. */
export type Pictures = Record<string, string>;

export function drawLaunches(launches: readonly Launch[], title: string): string {
  const lastMs = Math.max(
    ...launches.flatMap(({ inServiceMs, nodes, idealMs }) => [inServiceMs.at(-1) ?? 0, idealMs(nodes)]),
  );
  const xMax = (lastMs / minuteMs) * 1.05;
  const nodes = Math.max(...launches.map((each) => each.nodes));
  const series = launches.flatMap((each): Series[] => [
    { label: each.label, points: rise(each, xMax) },
    { label: `${each.label}: ideal, calls ÷ rate`, points: ideal(each), dashed: true },
  ]);
  return renderChart({
    title,
    x: { label: 'minutes since the launch', max: xMax },
    y: { label: 'nodes in service', max: nodes },
    series,
  });
}

/** Draws the calls per node by API, including throttled ones. */
export function drawCalls(sides: readonly Side[], title: string): string {
  return renderBars({
    title,
    axis: 'calls per node: sent (answered)',
    sides: sides.map(({ label }) => label),
    rows: actionsOf(sides).map((action) => ({
      label: action,
      bars: sides.map((side) => {
        const { sent, answered } = perNode(side, action);
        return { all: sent, part: answered };
      }),
    })),
  });
}

function rise({ inServiceMs }: Launch, untilMinutes: number): Series['points'] {
  const steps = inServiceMs.map((ms, index) => [ms / minuteMs, index + 1] as const);
  return [[0, 0], ...steps, [untilMinutes, inServiceMs.length]];
}

function ideal({ nodes, idealMs }: Launch): Series['points'] {
  const counts = Array.from({ length: 51 }, (_, index) => Math.max(1, Math.round((index / 50) * nodes)));
  return counts.map((count) => [idealMs(count) / minuteMs, count] as const);
}

export function drawReclaim({ drainingMs, reclaimed }: Reclaim, nodes: number): string {
  const points = drainingMs.map((ms, index) => [ms / 1000, index + 1] as const);
  return renderChart({
    title: `${reclaimed} of ${nodes} nodes are reclaimed at once`,
    x: { label: 'seconds since the notice', max: 125 },
    y: { label: 'nodes DRAINING', max: reclaimed },
    series: [
      { label: 'DRAINING in ECS', points: [[0, 0], ...points, [120, drainingMs.length]] },
      {
        label: 'EC2 takes the machines',
        points: [
          [120, 0],
          [120, reclaimed],
        ],
        dashed: true,
      },
    ],
  });
}

export function drawBadImage({ counts, nodes, hours }: BadImage): string {
  const over = (pick: 'alive' | 'waiting' | 'dead') => counts.map((each) => [each.ms / minuteMs, each[pick]] as const);
  const most = Math.max(nodes, ...counts.map(({ dead }) => dead));
  return renderChart({
    title: `An image that can never register, ${nodes} nodes`,
    x: { label: 'minutes since the launch', max: hours * 60 },
    y: { label: 'nodes', max: most * 1.05 },
    series: [
      { label: 'alive', points: over('alive') },
      { label: 'of them held by the storm guard', points: over('waiting') },
      { label: 'died, all together', points: over('dead') },
    ],
  });
}
