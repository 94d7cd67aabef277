/**
 * Writes to the machine's own console, for a person at the instance's screen or with
 * `get-console-output`.
 */

import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { visibleLine } from '../core/visible.ts';

/** Never throws, never makes the file, and never waits for a serial line without a reader. */
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
    // There is no console, or it is busy. The journal also has the line.
  }
}
