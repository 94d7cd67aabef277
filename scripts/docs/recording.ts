// npm run docs:recording: runs `npm start` and draws its output for the README as
// docs/images/npm-start.svg, line by line at its own pace.

import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

const output = 'docs/images/npm-start.svg';

interface Line {
  text: string;
  /** Seconds since the first line. */
  at: number;
}

const rowPixels = 19;
const columnPixels = 8.1;
/** The end of a long line adds little, and a page shrinks a wide picture until it is unreadable. */
const maxColumns = 118;
/**
 * A reader does not want to wait for the real minute, so each pause lasts at most this many
 * seconds.
 */
const longestPauseSeconds = 1.2;
/** A taller picture would push the text of the README off the screen. */
const windowRows = 26;

async function record(): Promise<Line[]> {
  const child = spawn(process.execPath, ['scripts/start.ts'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: Line[] = [];
  const began = performance.now();
  for await (const text of createInterface({ input: child.stdout }))
    lines.push({ text, at: (performance.now() - began) / 1000 });
  const code = await new Promise((resolve) =>
    child.exitCode === null ? child.on('close', resolve) : resolve(child.exitCode),
  );
  if (code !== 0) throw new Error(`npm start ended with ${String(code)}: nothing is recorded`);
  return lines;
}

function colourOf(text: string): string {
  if (text.startsWith('$')) return '#e6edf3';
  if (/^\S/.test(text)) return '#ffffff';
  if (text.includes('✖')) return '#ff7b72';
  if (text.includes('▲')) return '#e3b341';
  if (text.includes('●')) return '#7ee787';
  return text.includes('○') ? '#79c0ff' : '#8b949e';
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/**
 * The lines appear one after the other, in a window that scrolls as a terminal does. A viewer
 * without animation shows the last lines.
 */
function render(lines: readonly Line[]): string {
  const shown = [{ text: '$ npm ci && npm start', at: 0 }, ...lines].map(({ text, at }) => ({
    text: text.length > maxColumns ? `${text.slice(0, maxColumns - 1)}…` : text,
    at,
  }));
  const width = Math.ceil(columnPixels * maxColumns) + 32;
  const height = rowPixels * windowRows + 24;
  let time = 0;
  const times = shown.map(({ at }, index) => (time += Math.min(longestPauseSeconds, at - (shown[index - 1]?.at ?? 0))));
  const rows = shown.map(({ text }, index) => {
    const weight = /^\S/.test(text) ? ' font-weight="bold"' : '';
    return `<text x="16" y="${16 + index * rowPixels}" fill="${colourOf(text)}"${weight} xml:space="preserve">${escape(text)}${hideUntil(times[index]!)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="What npm start prints">`,
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    `<svg y="12" width="${width}" height="${rowPixels * windowRows}">`,
    `<g transform="translate(0 ${shift(shown.length - 1)})" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13">`,
    scroll(times),
    ...rows,
    '</g>',
    '</svg>',
    '</svg>',
    '',
  ].join('\n');
}

/** SMIL refuses a duration of zero, and Chromium then hides the line for ever. */
function hideUntil(seconds: number): string {
  if (seconds === 0) return '';
  return `<animate attributeName="opacity" from="0" to="0" dur="${seconds.toFixed(2)}s" fill="remove"/>`;
}

/** The shift, in pixels, with which the row of this index is the last one of the window. */
function shift(index: number): number {
  return -rowPixels * Math.max(0, index + 1 - windowRows);
}

function scroll(times: readonly number[]): string {
  const whole = times.at(-1)!;
  const steps = times
    .map((time, index) => ({ time, y: shift(index) }))
    .filter(({ time, y }, index, all) => index === 0 || (y !== all[index - 1]!.y && time > 0));
  const values = steps.map(({ y }) => `0 ${y}`).join(';');
  const keyTimes = steps.map(({ time }, index) => (index === 0 ? '0' : (time / whole).toFixed(5))).join(';');
  return `<animateTransform attributeName="transform" type="translate" calcMode="discrete" values="${values}" keyTimes="${keyTimes}" dur="${whole.toFixed(2)}s" fill="remove"/>`;
}

const lines = await record();
await mkdir('docs/images', { recursive: true });
await writeFile(output, render(lines));
console.log(`wrote ${output}: ${lines.length} lines`);
