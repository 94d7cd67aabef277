/** Whole lines out of a stream of bytes, with a bound on how long one may get. */

import type { Readable } from 'node:stream';

/** The largest message is the metrics of one publication, or a page of tasks: far below. */
const maxLine = 4 * 1024 * 1024;

/**
 * Resolves at the end of the stream; what follows the last line break is dropped, since nobody
 * finished saying it.
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
