/** Writes a file in a folder that containers may mount. */

import { ConfigError } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';

/** Containers run as any user. None of these files is secret. */
const mode = 0o644;

/**
 * A container with a writable mount of the folder can replace the file by a link, a folder or a
 * pipe. `writeText` refuses to write through it, at each boot again. So this function removes it
 * first.
 */
export async function writeForContainers(
  machine: Machine,
  path: string,
  text: string,
): Promise<'changed' | 'unchanged'> {
  try {
    return await machine.writeText(path, text, mode);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // On a read-only file system nothing can be removed, and the first error names the remedy.
    if (!(await machine.removeShared(path).catch(() => false))) throw error;
    return machine.writeText(path, text, mode);
  }
}
