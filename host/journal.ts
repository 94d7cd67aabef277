/**
 * Finds out whether the output goes to systemd's journal, which reads `<N>` at the start of a line
 * as its priority.
 */

import { fstatSync } from 'node:fs';
import type { Environment } from './environment.ts';

const standardError = 2;

/**
 * As in sd-daemon(3): programs whose output goes elsewhere also inherit JOURNAL_STREAM, so the file
 * is compared.
 */
export function writesToJournal(environment: Environment): boolean {
  const stream = environment['JOURNAL_STREAM'];
  if (stream === undefined || stream === '') return false;
  try {
    const { dev, ino } = fstatSync(standardError, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
