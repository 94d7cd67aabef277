/**
 * Asks again about a reason that the node found by itself. A disk may have been freed, or Docker
 * restarted, since the departure began: by another process, or in an earlier boot.
 */

import type { Config } from '../config/config.ts';
import { Unavailable, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { callOnce } from './calls.ts';
import { openWatchedPaths, renderUnmeasured } from './docker-root.ts';
import { isClear } from './fullness.ts';

/** Throws when no measured disk is full and one could not be measured. */
export async function isDiskFull(host: Host, config: Config, signal: AbortSignal): Promise<boolean> {
  const paths = await openWatchedPaths(config).list(host, signal);
  const { uses, unmeasured } = await callOnce(host, signal, () => host.machine.measureDisks(paths));
  if (uses.some((use) => !isClear(use, config.disk.clearPercent))) return true;
  if (unmeasured.length > 0) throw new Unavailable(renderUnmeasured(unmeasured));
  return false;
}

/** Docker answers its health check from memory. 10 s leave it time on a machine that swaps. */
const pingMs = 10_000;

/** Undefined when Docker answers; else the trouble, for people. */
export async function pingDocker(host: Host, signal: AbortSignal): Promise<string | undefined> {
  try {
    await callOnce(host, signal, (callSignal) => host.docker.ping(callSignal), pingMs);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    return messageOf(error);
  }
}
