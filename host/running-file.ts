/** Where the program that runs now can be started again. */

import { readlinkSync } from 'node:fs';

/**
 * `file`, or what the kernel still has of it after an update in place. A child of the new version
 * would not understand this process, nor would this process understand the child.
 */
export function runningFile(file: string): string {
  const self = '/proc/self/exe';
  try {
    return readlinkSync(self) === `${file} (deleted)` ? self : file;
  } catch {
    return file;
  }
}
