/**
 * Reads the files that only this program writes. One that a disk, a person or a container runtime
 * has damaged is set aside, so that it keeps no node from booting.
 */

import { ConfigError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Is } from '../shape.ts';
import { parseState } from './state.ts';

/** The part of the host that these functions need. */
interface StateHost {
  machine: { readText(path: string): Promise<string | undefined>; setAside(path: string): Promise<boolean> };
  log: Pick<Log, 'warn'>;
}

/**
 * Undefined also for a damaged file: not UTF-8, too large, a folder or a pipe. It then stands
 * beside its place as `PATH.damaged`, and the next write succeeds.
 */
export async function readStateText({ machine, log }: StateHost, path: string): Promise<string | undefined> {
  try {
    return await machine.readText(path);
  } catch (error) {
    // A person without the right to read the file may not rename it either, and sees the error.
    if (!(error instanceof ConfigError) || !(await machine.setAside(path).catch(() => false))) throw error;
    log.warn('damaged state set aside', { error: messageOf(error), keptAs: `${path}.damaged` });
    return undefined;
  }
}

/** As `parseState`, of the file at `path`. */
export async function readState<T extends { instanceId: string }>(
  host: StateHost & { identity: { instanceId: string } },
  path: string,
  isWhole: Is<T>,
): Promise<T | undefined> {
  return parseState<T>(await readStateText(host, path), host.identity.instanceId, isWhole);
}
