/** The file with which the running program can be started again. */

import { readlinkSync } from 'node:fs';
import { execPath } from 'node:process';

/**
 * Returns `file`; or, for this program's own file, the kernel's copy of it when an update has
 * replaced, moved or removed it since the start. A child of the new version would not understand
 * this process, nor the reverse.
 */
export function runningFile(file: string): string {
  const self = '/proc/self/exe';
  try {
    return file === execPath && readlinkSync(self) !== file ? self : file;
  } catch {
    return file;
  }
}
