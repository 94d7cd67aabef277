/**
 * Whether what we write goes to systemd's journal, which then takes a line's first `<N>` as its
 * priority.
 */

import { fstatSync } from 'node:fs';
import type { Environment } from './environment.ts';

const standardError = 2;

/**
 * As sd-daemon(3) has it: JOURNAL_STREAM is inherited by programs whose output goes elsewhere, so
 * the file counts.
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
