/**
 * The machine's own console, for whoever looks at the instance's screen or `get-console-output`.
 */

import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { visibleLine } from '../core/visible.ts';

/** Never throws, never makes the file, never waits for a serial line that nobody reads. */
export function say(file: string, line: string): void {
  const text = visibleLine(line.replaceAll(/\s+/g, ' '));
  try {
    const handle = openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_NOCTTY | constants.O_NONBLOCK);
    try {
      writeSync(handle, `${text}\r\n`);
    } finally {
      closeSync(handle);
    }
  } catch {
    // No console, or one that is busy: the journal has the line too.
  }
}
