/** This machine, with every path below one root. */

import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { pid as ownPid } from 'node:process';
import { Unavailable, messageOf } from '../core/errors.ts';
import type { Machine, ProcessIdentity } from '../core/host.ts';
import { paths } from '../core/state/state.ts';
import { visibleLine } from '../core/visible.ts';
import { networkVariables, type Environment } from './environment.ts';
import type { Disks } from './disk.ts';
import { codeOf } from './files/error-code.ts';
import { openBelow, openFiles } from './files/files.ts';
import { openMustAnswer } from './files/must-answer.ts';
import { mustBeRootOwned, mustBeRootOwnedFolder } from './files/root-owned.ts';
import { openResponse } from './http/http.ts';
import { run } from './processes.ts';
import { notify, powerOff, readUnitState, restartUnit, stopUnit } from './systemd.ts';

const bootId = '/proc/sys/kernel/random/boot_id';

/**
 * `root` is / except for tests and images under construction. Under another root, the machine's own
 * programs and sockets are never touched.
 */
export function openMachine(root: string, environment: Environment): Machine {
  const top = resolve(root);
  const below = openBelow(top);
  const runBelow: Machine['run'] = async (command, signal) => {
    const file = below(command.file, { through: true });
    if (command.rootOwned === true) mustBeRootOwned(file, top);
    const folder = command.folder === undefined ? {} : { folder: below(command.folder) };
    const variables = command.downloads === true ? networkVariables(environment) : {};
    return run({ ...command, file, ...folder, environment: { ...variables, ...command.environment } }, signal);
  };
  // Kept, because it knows the file systems that hang.
  let disks: Promise<Disks> | undefined;
  const files = openFiles(top);
  const mustAnswer = openMustAnswer(top);
  return {
    ...files,
    mustAnswer,
    async writeShared(path, text) {
      await mustAnswer(path);
      mustBeRootOwnedFolder(dirname(below(path)), top);
      return files.writeText(path, text, 0o644);
    },
    async measureDisks(paths) {
      disks ??= import('./disk.ts').then(({ openDisks }) => openDisks(top));
      return (await disks).measure(paths);
    },
    async measureMemory() {
      const { measureMemory } = await import('./disk.ts');
      return measureMemory();
    },
    readBootId: async () => readBootId(join(top, bootId)) ?? readBootId(bootId) ?? noBootId(),
    readProcess: async (pid = ownPid) => readProcess(pid),
    run: runBelow,
    async unpack(url, signal) {
      const [{ unpack }, { openNetwork }] = [await import('./files/unpack.ts'), await import('./network/network.ts')];
      return `/${relative(top, await unpack(url, below(paths.unpacked), openNetwork(environment), signal))}`;
    },
    probe,
    restartUnit: (unit, signal) => restartUnit(runBelow, unit, signal),
    stopUnit: (unit, signal) => stopUnit(runBelow, unit, signal),
    readUnitState: (unit, signal) => readUnitState(runBelow, unit, signal),
    powerOff: (_confirmed, signal) => powerOff(runBelow, signal),
    // Under another root, a link to the machine's own console must not be followed.
    async say(line) {
      try {
        writeToConsole(below('/dev/console', { through: true }), line);
      } catch {
        // There is no console, or it is busy. The journal also has the line.
      }
    },
    notify: (assignments) => notify(runBelow, environment['NOTIFY_SOCKET'], assignments),
  };
}

/** Never makes the file, and never waits for a serial line without a reader. */
function writeToConsole(file: string, line: string): void {
  const text = visibleLine(line.replaceAll(/\s+/g, ' '));
  const handle = openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_NOCTTY | constants.O_NONBLOCK);
  try {
    writeSync(handle, `${text}\r\n`);
  } finally {
    closeSync(handle);
  }
}

/** Only the status counts, so this does not wait for the body. */
async function probe(url: string, signal: AbortSignal): Promise<number> {
  return openResponse({ serviceName: `GET ${new URL(url).origin}`, url: new URL(url) }, signal, async (response) => {
    response.destroy();
    return response.statusCode ?? 0;
  });
}

/** Another root may have its own /proc. Most do not. */
function readBootId(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch (error) {
    if (messageOf(error).startsWith('ENOENT')) return undefined;
    throw new Unavailable(`cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function readProcess(pid: number): ProcessIdentity | undefined {
  const file = `/proc/${pid}/stat`;
  let stat: string;
  try {
    stat = readFileSync(file, 'latin1');
  } catch (error) {
    // ESRCH: it ended while the file was open.
    if (/^(ENOENT|ESRCH)$/.test(codeOf(error) ?? '')) return undefined;
    throw new Unavailable(`cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
  // The name before the last bracket may hold spaces and brackets. See proc_pid_stat(5): state is
  // field 3, starttime field 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', startTicks] = [fields[0], fields[19]];
  if (startTicks === undefined) throw new Unavailable(`${file} has fewer fields than expected`);
  // A zombie has ended; only its parent has not asked how.
  return /^[ZXx]$/.test(state) ? undefined : { pid, startTicks };
}

function noBootId(): never {
  throw new Unavailable(`there is no ${bootId}`);
}
