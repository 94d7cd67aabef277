/** Starts a child process, for every caller of `spawn`. */

import type { ChildProcess } from 'node:child_process';
import { Unavailable, messageOf } from '../core/errors.ts';

/**
 * `spawn` throws some failures, for example ENOMEM, and emits others. Without a free file
 * descriptor, it returns a child without pipes. A caller that took that for a bug would go on
 * without the program.
 */
export function startChild<T extends ChildProcess>(
  file: string,
  start: () => T,
  explain: (error: unknown, file: string) => unknown = explainStart,
): T {
  let child: T;
  try {
    child = start();
  } catch (error) {
    throw explain(error, file);
  }
  if (child.stdout !== undefined) return child;
  // The failure is emitted after this call, and would end this process.
  child.on('error', () => {});
  throw new Unavailable(`cannot run ${file}: no file descriptor is free`);
}

/** The failure as an outage of this machine, or as a bug. */
export function explainStart(error: unknown, file: string): unknown {
  // A bug of this program, for example an argument with a NUL.
  if (error instanceof TypeError) return error;
  return new Unavailable(`cannot run ${file}: ${messageOf(error)}`, { cause: error });
}
