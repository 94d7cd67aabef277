/** Keeps a file with the host ports of each container and each task on this node. */

import type { Config } from '../config/config.ts';
import type { Host } from '../core/host.ts';
import { paths } from '../core/state/state.ts';
import type { Chore } from './chore.ts';
import { writeForContainers } from './write-for-containers.ts';
import { isPortFile, renderPortFiles } from './ports-text.ts';

/** The agent answers from memory, and the files are small. */
const deadlineMs = 20_000;

export function keepPorts({ ports }: Config): Chore {
  const written = new Map<string, string>();
  return {
    name: 'ports',
    everyMs: ports.everySeconds * 1000,
    deadlineMs,
    run: (host, signal) => writePorts(host, written, signal),
  };
}

/**
 * `written`: the content that this process knows to be on the disk. An unchanged round then reads
 * only one folder.
 */
export async function writePorts(
  host: Pick<Host, 'ecsAgent' | 'identity' | 'machine'>,
  written: Map<string, string>,
  signal: AbortSignal,
): Promise<'changed' | 'unchanged'> {
  const { ecsAgent, identity, machine } = host;
  const tasks = await ecsAgent.readTasks(signal);
  // The agent has not registered yet, or restarts. Its containers keep running then, and so do
  // their ports.
  if (tasks === undefined) return 'unchanged';
  const named = tasks.filter(({ arn }) => arn !== '');
  const wanted = new Map(renderPortFiles(named, identity.privateIp).map(({ name, text }) => [name, text]));
  const there = new Set(await machine.list(paths.ports));
  let changes = 0;
  for (const [name, text] of wanted) {
    if (there.has(name) && written.get(name) === text) continue;
    if ((await writeForContainers(machine, `${paths.ports}/${name}`, text)) === 'changed') changes++;
    written.set(name, text);
  }
  // A file of a running container may belong to a task that the agent does not name just now.
  if (named.length < tasks.length) return changes > 0 ? 'changed' : 'unchanged';
  for (const name of there) {
    if (wanted.has(name) || !isPortFile(name)) continue;
    if (await machine.removeShared(`${paths.ports}/${name}`)) changes++;
    written.delete(name);
  }
  return changes > 0 ? 'changed' : 'unchanged';
}
