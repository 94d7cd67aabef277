/** Splits a stream of bytes into whole lines of a bounded length. */

import type { Readable } from 'node:stream';

/** The largest message (the metrics of one publication, a page of tasks) is far below this. */
const maxLine = 4 * 1024 * 1024;

/**
 * Resolves at the end of the stream. A last line without a line break is incomplete, so it is
 * dropped.
 */
export function readLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  stream.setEncoding('utf8');
  let rest = '';
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
    if (rest.length > maxLine) stream.destroy();
  });
  return new Promise((resolve) => {
    stream.on('error', () => resolve());
    stream.on('close', () => resolve());
    stream.on('end', () => resolve());
  });
}
