// Prints a timeline for people: one line per event, and repeated calls folded into one line with a
// count.
import { styleText } from 'node:util';

export type Tone = 'action' | 'fact' | 'call' | 'trouble' | 'end';

export interface TimelineEntry {
  /** Milliseconds since the beginning. */
  at: number;
  /** The node of the event: 0 is the world, 1 the first node, 2 its replacement. */
  node: number;
  tone: Tone;
  what: string;
  detail?: string;
}

export interface Timeline {
  add(line: Omit<TimelineEntry, 'at'>): void;
  /** Prints a headline between the chapters of a life. */
  chapter(title: string): void;
}

const glyphs: Record<Tone, string> = { action: '●', fact: '○', call: '·', trouble: '▲', end: '✖' };
const colours: Record<Tone, Parameters<typeof styleText>[0]> = {
  action: 'green',
  fact: 'cyan',
  call: 'dim',
  trouble: 'yellow',
  end: 'red',
};

/** Writes to `out`. Colour, and rewriting a counted line, work only on a terminal. */
export function openTimeline(out: NodeJS.WritableStream, onTerminal: boolean, now: () => number): Timeline {
  const begun = now();
  let last: { line: TimelineEntry; times: number } | undefined;

  const write = (text: string) => void out.write(text);
  const flush = () => {
    // Without a terminal, a counted line is written once, when the count is complete.
    if (last && !onTerminal) write(`${renderLine(last.line, last.times, false)}\n`);
    last = undefined;
  };

  return {
    add(more) {
      const line = { ...more, at: now() - begun };
      if (last && isSame(last.line, line)) {
        last.times++;
        if (onTerminal) write(`\u001B[1A\r\u001B[2K${renderLine(last.line, last.times, true)}\n`);
        return;
      }
      flush();
      last = { line, times: 1 };
      if (onTerminal) write(`${renderLine(line, 1, true)}\n`);
    },
    chapter(title) {
      flush();
      write(`\n${onTerminal ? styleText('bold', title) : title}\n`);
    },
  };
}

function isSame(a: TimelineEntry, b: TimelineEntry): boolean {
  return a.node === b.node && a.tone === b.tone && a.what === b.what && a.detail === b.detail;
}

export function renderLine(line: TimelineEntry, times: number, colour: boolean): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string) => (colour ? styleText(style, text) : text);
  const time = paint('dim', `${(line.at / 1000).toFixed(1).padStart(6)} s`);
  const label = line.node === 0 ? '        ' : paint(line.node === 1 ? 'blue' : 'magenta', `node ${line.node}  `);
  const indent = line.tone === 'call' ? '    ' : '';
  const count = times > 1 ? ` ×${times}` : '';
  const detail = line.detail === undefined ? '' : `  ${paint('dim', line.detail)}`;
  return `${time}  ${label}${indent}${paint(colours[line.tone], `${glyphs[line.tone]} ${line.what}${count}`)}${detail}`;
}
