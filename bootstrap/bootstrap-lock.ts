/**
 * Lets one bootstrap of this node run at a time: two at once, from systemd and from a person, would
 * both run the installer of OpsWorks, and register the node twice.
 *
 * Each process first writes a file of its own and then looks for the files of others, so that of
 * two at least one sees the other. A file is named after its process, so that removing the file of
 * a process that has ended never removes the file of one that runs.
 */

import { Unavailable, messageOf } from '../core/errors.ts';
import type { Host, ProcessIdentity } from '../core/host.ts';
import { paths } from '../core/state/state.ts';

/** Looking costs two small reads, and a person waits for it. */
const everyMs = 2_000;

/**
 * Does `work` while no other bootstrap does. Throws Unavailable when another one still runs after
 * `withinMs`. A lock that cannot be taken for any other reason is told, and keeps no node from
 * booting.
 */
export async function withBootstrapLock<T>(
  host: Host,
  withinMs: number,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const own = await takeLock(host, withinMs, signal);
  try {
    return await work();
  } finally {
    if (own !== undefined) await removeEntry(host, own);
  }
}

interface Entry extends ProcessIdentity {
  bootId: string;
}

/** Undefined: there is no lock, for a reason that was told. */
async function takeLock(host: Host, withinMs: number, signal: AbortSignal): Promise<Entry | undefined> {
  const own = await orWarn(host, () => readOwnEntry(host));
  if (own === undefined) return undefined;
  const end = host.clock.uptime() + withinMs;
  for (let told = false; ;) {
    const others = await orWarn(host, () => enter(host, own));
    const [other] = others ?? [];
    if (other === undefined) return own;
    // The process with the lower pid stays; otherwise two that came at once would wait for ever.
    if (other.pid < own.pid) await removeEntry(host, own);
    if (host.clock.uptime() >= end) {
      await removeEntry(host, own);
      throw new Unavailable(renderHeld(other, withinMs));
    }
    if (!told) await tell(host, other);
    told = true;
    try {
      await host.clock.sleep(everyMs, signal);
    } catch (error) {
      await removeEntry(host, own);
      throw error;
    }
  }
}

/** Says that this process is there, then who else is, lowest pid first. */
async function enter(host: Host, own: Entry): Promise<Entry[]> {
  await host.machine.writeText(pathOf(own), `ecs-node bootstrap, pid ${own.pid}\n`);
  const running: Entry[] = [];
  for (const name of await host.machine.list(paths.bootstraps)) {
    const entry = parseEntry(name);
    if (entry === undefined || nameOf(entry) === nameOf(own)) continue;
    if (await isRunning(host, entry, own.bootId)) running.push(entry);
    else await removeEntry(host, entry);
  }
  return running.toSorted((a, b) => a.pid - b.pid);
}

async function isRunning(host: Host, { pid, startTicks, bootId }: Entry, currentBootId: string): Promise<boolean> {
  return bootId === currentBootId && (await host.machine.readProcess(pid))?.startTicks === startTicks;
}

async function readOwnEntry({ machine }: Host): Promise<Entry> {
  const process = await machine.readProcess();
  if (process === undefined) throw new Unavailable('/proc does not list this process');
  return { ...process, bootId: await machine.readBootId() };
}

async function tell(host: Host, { pid }: Entry): Promise<void> {
  host.log.warn('waiting for another bootstrap of this node to end', { pid });
  await host.machine.say(`ecs-node: waiting for another bootstrap of this node to end (pid ${pid})`);
}

function renderHeld({ pid }: Entry, withinMs: number): string {
  const look = `look at it with "ps -fp ${pid}", and end it with "kill ${pid}" if it hangs`;
  return `another bootstrap of this node (pid ${pid}) still runs after ${Math.round(withinMs / 1000)} s: ${look}`;
}

async function removeEntry(host: Host, entry: Entry): Promise<void> {
  await orWarn(host, () => host.machine.remove(pathOf(entry)));
}

async function orWarn<T>(host: Host, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    host.log.warn('bootstrap lock does not work', { error: messageOf(error) });
    return undefined;
  }
}

const nameOf = ({ bootId, pid, startTicks }: Entry): string => `${bootId}.${pid}.${startTicks}`;
const pathOf = (entry: Entry): string => `${paths.bootstraps}/${nameOf(entry)}`;

/** Undefined for a file that is not ours. */
function parseEntry(name: string): Entry | undefined {
  const [, bootId, pid, startTicks] = /^([\w-]+)\.(\d{1,9})\.(\d+)$/.exec(name) ?? [];
  if (bootId === undefined || pid === undefined || startTicks === undefined) return undefined;
  return { bootId, pid: Number(pid), startTicks };
}
