/**
 * The node's record of its daemon tasks, for the status and for the next start. After a crash at
 * any point, it keeps the node from starting a task twice.
 */

import type { Host } from '../core/host.ts';
import { maybe, number, oneOf, recordOf, shaped, text, time } from '../core/shape.ts';
import { readStateText } from '../core/state/read-state.ts';
import { parseState, paths, renderState } from '../core/state/state.ts';
import { lives, standings, type Past, type Standing } from './daemon-tasks.ts';

export interface DaemonTask {
  standing: Standing;
  detail: string;
  /** The start of the present standing, milliseconds since 1970. */
  since: number;
  past?: Past;
}

export interface DaemonTasks {
  instanceId: string;
  /** By family. */
  families: Readonly<Record<string, DaemonTask>>;
}

type Deps = Pick<Host, 'machine' | 'identity' | 'log'>;

export async function readDaemonTasks(host: Deps): Promise<DaemonTasks> {
  const { instanceId } = host.identity;
  const found = await readStateText(host, paths.daemonTasks);
  return parseDaemonTasks(found, instanceId) ?? { instanceId, families: {} };
}

export function parseDaemonTasks(found: string | undefined, instanceId: string): DaemonTasks | undefined {
  return parseState<DaemonTasks>(found, instanceId, isDaemonTasks);
}

export async function writeDaemonTasks({ machine }: Pick<Host, 'machine'>, tasks: DaemonTasks): Promise<void> {
  await machine.writeText(paths.daemonTasks, renderState(tasks));
}

const isPast = shaped<Past>({
  revision: text,
  startedAt: time,
  life: oneOf(lives),
  taskArn: maybe(text),
  misses: number,
  why: maybe(text),
});

const isDaemonTask = shaped<DaemonTask>({ standing: oneOf(standings), detail: text, since: time, past: maybe(isPast) });

export const isDaemonTasks = shaped<DaemonTasks>({ instanceId: text, families: recordOf(isDaemonTask) });
