/** Writes a file in a folder that containers may mount. */

import { ConfigError } from '../core/errors.ts';
import type { Machine } from '../core/host.ts';

/** Containers run as any user. None of these files is secret. */
const mode = 0o644;

/**
 * A container that has the folder mounted writable can put a link, a folder or a pipe in the file's
 * place. It is replaced: `writeText` refuses to write through it, and would refuse at each boot.
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
    // For a read-only file system nothing is removed, and the first error says what to do.
    if (!(await machine.remove(path).catch(() => false))) throw error;
    return machine.writeText(path, text, mode);
  }
}
