/**
 * Draws calls per node as an SVG: one bar for each API and side. The light part of a bar was
 * throttled.
 */

import { colourOf, escape, renderPage, ticks } from './chart.ts';

export interface Bars {
  title: string;
  /** The meaning of a bar's length and of its light part. */
  axis: string;
  sides: readonly string[];
  /** One bar for each side. */
  rows: readonly { label: string; bars: readonly Bar[] }[];
}

export interface Bar {
  all: number;
  /** The length of the dark part. */
  part: number;
}

const width = 760;
const plot = { left: 290, right: 640, top: 44 };
const barHeight = 11;
const rowGap = 9;

export function renderBars({ title, axis, sides, rows }: Bars): string {
  const rowHeight = sides.length * barHeight + rowGap;
  const bottom = plot.top + rows.length * rowHeight;
  const height = bottom + 56 + sides.length * 19;
  const max = Math.max(1, ...rows.flatMap(({ bars }) => bars.map(({ all }) => all)));
  const toX = (value: number) => plot.left + (value / max) * (plot.right - plot.left);
  return renderPage({ width, height, title, titleX: 16 }, [
    ...ticks(max).map((value) => renderTick(value, toX(value), bottom)),
    ...rows.flatMap((row, index) => renderRow(row, plot.top + index * rowHeight, toX)),
    `<path class="axis" d="M${plot.left} ${plot.top}V${bottom}"/>`,
    `<text class="ink" x="${plot.right}" y="${bottom + 36}" text-anchor="end">${escape(axis)}</text>`,
    ...sides.map((side, index) => renderLegend(side, bottom + 52 + index * 19, index)),
  ]);
}

function renderTick(value: number, x: number, bottom: number): string {
  return `<path class="grid" d="M${x.toFixed(1)} ${plot.top}V${bottom}"/><text class="ink" x="${x.toFixed(1)}" y="${bottom + 18}" text-anchor="middle">${value}</text>`;
}

function renderRow({ label, bars }: Bars['rows'][number], top: number, toX: (value: number) => number): string[] {
  const middle = top + rowGap / 2 + (bars.length * barHeight) / 2 + 4;
  return [
    `<text class="ink" x="${plot.left - 8}" y="${middle.toFixed(1)}" text-anchor="end" font-size="12">${escape(label)}</text>`,
    ...bars.map((bar, index) => renderBar(bar, top + rowGap / 2 + index * barHeight, colourOf(index), toX)),
  ];
}

function renderBar({ all, part }: Bar, y: number, colour: string, toX: (value: number) => number): string {
  if (all === 0) return '';
  const rect = (to: number, opacity: number) =>
    `<rect x="${plot.left}" y="${y}" width="${(toX(to) - plot.left).toFixed(1)}" height="${barHeight - 1}" fill="${colour}" fill-opacity="${opacity}"/>`;
  const words = `${all.toFixed(1)} (${part.toFixed(1)})`;
  return `${rect(all, 0.4)}${rect(part, 1)}<text class="ink" x="${(toX(all) + 5).toFixed(1)}" y="${y + 9}" font-size="10">${words}</text>`;
}

function renderLegend(side: string, y: number, index: number): string {
  return `<rect x="16" y="${y - 9}" width="26" height="10" fill="${colourOf(index)}"/><text class="ink" x="50" y="${y}">${escape(side)}</text>`;
}
