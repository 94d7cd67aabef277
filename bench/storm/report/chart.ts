/** Draws lines over time as an SVG that is readable on light and dark pages. */

export interface Series {
  label: string;
  points: readonly (readonly [x: number, y: number])[];
  /** Draws an ideal, not a measurement. */
  dashed?: true;
}

export interface Chart {
  title: string;
  x: Axis;
  y: Axis;
  series: readonly Series[];
}

export interface Axis {
  label: string;
  max: number;
}

const [width, height] = [760, 400];
const plot = { left: 64, right: 744, top: 44, bottom: 300 };

/**
 * Colours that people with colour blindness can tell apart, on white and on black (Okabe and Ito's,
 * without yellow).
 */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#8a8a8a'];

export function renderChart({ title, x, y, series }: Chart): string {
  const toX = (value: number) => plot.left + (Math.min(value, x.max) / x.max) * (plot.right - plot.left);
  const toY = (value: number) => plot.bottom - (Math.min(value, y.max) / y.max) * (plot.bottom - plot.top);
  const lines = series.map(({ points, dashed }, index) => {
    const path = thin(points).map(
      ([px, py], at) => `${at === 0 ? 'M' : 'L'}${toX(px).toFixed(1)} ${toY(py).toFixed(1)}`,
    );
    const dash = dashed ? ' stroke-dasharray="6 5"' : '';
    return `<path d="${path.join('')}" fill="none" stroke="${colourOf(index)}" stroke-width="2"${dash}/>`;
  });
  return renderPage({ width, height, title, titleX: plot.left }, [
    ...ticks(x.max).map((value) => renderXTick(value, toX(value))),
    ...ticks(y.max).map((value) => renderYTick(value, toY(value))),
    `<path class="axis" d="M${plot.left} ${plot.top}V${plot.bottom}H${plot.right}"/>`,
    `<text class="ink" x="${plot.right}" y="${plot.bottom + 38}" text-anchor="end">${escape(x.label)}</text>`,
    `<text class="ink" x="16" y="${plot.top - 6}">${escape(y.label)}</text>`,
    ...lines,
    ...series.map(({ label, dashed }, index) => renderLegend(label, dashed === true, index)),
  ]);
}

export interface Page {
  width: number;
  height: number;
  title: string;
  titleX: number;
}

/** Renders a whole SVG, with its title above `lines`. */
export function renderPage(
  { width: pageWidth, height: pageHeight, title, titleX }: Page,
  lines: readonly string[],
): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${pageWidth} ${pageHeight}" font-family="system-ui, sans-serif" font-size="13" role="img">`,
    `<title>${escape(title)}</title>`,
    pageStyle,
    `<rect class="page" width="${pageWidth}" height="${pageHeight}"/>`,
    `<text class="ink" x="${titleX}" y="24" font-size="15" font-weight="600">${escape(title)}</text>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n');
}

const pageStyle =
  '<style>.page{fill:#fff}.ink{fill:#1f2328}.axis{stroke:#1f2328;fill:none}.grid{stroke:#d0d7de;stroke-width:1}' +
  '@media(prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#e6edf3}.axis{stroke:#e6edf3}.grid{stroke:#30363d}}</style>';

export function colourOf(index: number): string {
  return colours[index % colours.length]!;
}

function renderXTick(value: number, at: number): string {
  return `<path class="grid" d="M${at.toFixed(1)} ${plot.top}V${plot.bottom}"/><text class="ink" x="${at.toFixed(1)}" y="${plot.bottom + 18}" text-anchor="middle">${value}</text>`;
}

function renderYTick(value: number, at: number): string {
  return `<path class="grid" d="M${plot.left} ${at.toFixed(1)}H${plot.right}"/><text class="ink" x="${plot.left - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${value}</text>`;
}

const legendRows = 3;

function renderLegend(label: string, dashed: boolean, index: number): string {
  const x = plot.left + Math.floor(index / legendRows) * 345;
  const y = plot.bottom + 52 + (index % legendRows) * 19;
  const dash = dashed ? ' stroke-dasharray="6 5"' : '';
  return `<path d="M${x} ${y - 4}h26" stroke="${colourOf(index)}" stroke-width="3"${dash}/><text class="ink" x="${x + 34}" y="${y}">${escape(label)}</text>`;
}

/** Returns about five round numbers from 0 on. */
export function ticks(max: number): number[] {
  const rough = max / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.8)!;
  return Array.from({ length: Math.floor(max / step + 1e-9) + 1 }, (_, index) => Number((index * step).toFixed(6)));
}

/** A picture cannot show more points than it has columns. */
function thin(points: Series['points']): Series['points'] {
  const step = Math.max(1, Math.floor(points.length / 600));
  return points.filter((_, index) => index % step === 0 || index === points.length - 1);
}

export function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
