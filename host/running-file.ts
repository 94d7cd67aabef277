/** The file with which the running program can be started again. */

import { readlinkSync } from 'node:fs';

/**
 * Returns `file`, or the kernel's copy of it after an update in place. A child of the new version
 * would not understand this process, nor the reverse.
 */
export function runningFile(file: string): string {
  const self = '/proc/self/exe';
  try {
    return readlinkSync(self) === `${file} (deleted)` ? self : file;
  } catch {
    return file;
  }
}
