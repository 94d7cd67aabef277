/** A machine in memory: files that survive a crash, programs and hardware that tests define. */

import { ConfigError, Refused, Unavailable } from '../../core/errors.ts';
import type { ProcessCommand, DiskUse, Exit, Machine, MemoryUse } from '../../core/host.ts';

export type Program = (command: ProcessCommand, signal: AbortSignal) => Exit | Promise<Exit>;

export interface FakeMachine {
  /** The text of each file. Reading throws an Error value (not UTF-8, no permission). */
  files: Map<string, string | Error>;
  modes: Map<string, number>;
  /** Disk usage by path, as `measureDisks` reads it. */
  disks: Map<string, DiskUse>;
  /** The reason why a path has no measurement, such as a file system that hangs. */
  unmeasured: Map<string, string>;
  /** Paths that lead onto a file system that does not answer. */
  hanging: Set<string>;
  memory: MemoryUse;
  bootId: string;
  /** Programs by absolute path, or by the end of one. */
  programs: Map<string, Program>;
  /** The contents of the .tgz at a URL: relative path → text. */
  archives: Map<string, Record<string, string>>;
  /** The status code of a URL; without an entry, no server answers. */
  probes: Map<string, number>;
  /** Whether each process that was opened runs, by pid. */
  processes: Map<number, () => boolean>;
  restarted: string[];
  stopped: string[];
  /** The state of a unit in systemd's terms; default: active. */
  units: Map<string, string>;
  power: 'on' | 'off';
  console: string[];
  notified: string[];
}

const gigabyte = 2 ** 30;

/**
 * A disk of 30 GiB without reserved blocks, with `usedPercent` of its bytes and `inodesPercent` of
 * its inodes in use.
 */
export function someDisk(path: string, usedPercent = 40, inodesPercent = 10): DiskUse {
  const freeBytes = Math.round(30 * gigabyte * (1 - usedPercent / 100));
  return {
    path,
    filesystem: '/dev/nvme0n1p1',
    mountPath: '/',
    totalBytes: 30 * gigabyte,
    usedBytes: 30 * gigabyte - freeBytes,
    freeBytes,
    totalInodes: 2_000_000,
    freeInodes: Math.round(2_000_000 * (1 - inodesPercent / 100)),
  };
}

export function emptyMachine(): FakeMachine {
  return {
    files: new Map(),
    modes: new Map(),
    disks: new Map([
      ['/', someDisk('/')],
      ['/var/lib/docker', someDisk('/var/lib/docker')],
    ]),
    memory: {
      totalBytes: 8 * gigabyte,
      availableBytes: 6 * gigabyte,
      swapTotalBytes: 0,
      swapFreeBytes: 0,
    },
    bootId: 'boot-1',
    programs: new Map(),
    archives: new Map(),
    probes: new Map(),
    unmeasured: new Map(),
    hanging: new Set(),
    processes: new Map(),
    restarted: [],
    stopped: [],
    units: new Map(),
    power: 'on',
    console: [],
    notified: [],
  };
}

/** As one process of the machine sees it, which runs for as long as `isAlive` says. */
export function openMachine(state: FakeMachine, isAlive: () => boolean = () => true): Machine {
  let folders = 0;
  const ownPid = 100 + state.processes.size;
  state.processes.set(ownPid, isAlive);
  const below = (path: string) => {
    const folder = `${path}/`;
    return [...state.files.keys()].filter((file) => file.startsWith(folder));
  };
  const writeText: Machine['writeText'] = async (path, text, mode) => {
    absolute(path);
    const fault = (problem: string) => new ConfigError([{ path, problem }]);
    if (below(path).length > 0) throw fault('is not a regular file');
    if (state.files.get(path) instanceof Error) throw fault('cannot be replaced');
    const before = state.modes.get(path) ?? 0o644;
    const same = state.files.get(path) === text && before === (mode ?? before);
    state.files.set(path, text);
    state.modes.set(path, mode ?? before);
    return same ? 'unchanged' : 'changed';
  };
  const remove: Machine['remove'] = async (path) => {
    absolute(path);
    const gone = [path, ...below(path)].filter((file) => state.files.delete(file));
    return gone.length > 0;
  };
  const mustAnswer: Machine['mustAnswer'] = async (path) => {
    if ([...state.hanging].some((each) => `${path}/`.startsWith(`${each}/`)))
      throw new Unavailable(`${path}: its file system (nfs4 at /mnt/share) does not answer`);
  };
  return {
    async readText(path) {
      absolute(path);
      const text = state.files.get(path);
      if (text instanceof Error) throw text;
      return text;
    },
    writeText,
    async writeShared(path, text) {
      await mustAnswer(path);
      return writeText(path, text, 0o644);
    },
    mustAnswer,
    remove,
    removeShared: remove,
    async setAside(path) {
      absolute(path);
      const old = [path, ...below(path)].filter((file) => state.files.has(file));
      for (const file of old) {
        state.files.set(`${path}.damaged${file.slice(path.length)}`, state.files.get(file)!);
        state.files.delete(file);
      }
      return old.length > 0;
    },
    async list(path) {
      const names = below(path).map((file) => file.slice(path.length + 1).split('/')[0] ?? '');
      return [...new Set(names)].toSorted();
    },
    async measureDisks(asked) {
      const unmeasured = asked.flatMap((path) => {
        const reason = state.unmeasured.get(path) ?? (state.disks.has(path) ? undefined : 'no such file or directory');
        return reason === undefined ? [] : [{ path, reason }];
      });
      const failed = new Set(unmeasured.map(({ path }) => path));
      return { uses: asked.flatMap((path) => (failed.has(path) ? [] : { ...state.disks.get(path)! })), unmeasured };
    },
    measureMemory: async () => ({ ...state.memory }),
    readBootId: async () => state.bootId,
    async readProcess(pid = ownPid) {
      return state.processes.get(pid)?.() === true ? { pid, startTicks: String(pid * 10) } : undefined;
    },
    async run(command, signal) {
      absolute(command.file);
      const [, program] = [...state.programs].find(([name]) => command.file.endsWith(name)) ?? [];
      if (program === undefined) throw new Refused(`${command.file}: no such program`, { code: 'ENOENT' });
      return program(command, signal);
    },
    async unpack(url) {
      const archive = state.archives.get(url);
      if (archive === undefined) throw new Refused(`${url}: answered 404`, { code: '404' });
      const folder = `/var/lib/ecs-node/tmp/unpack-${++folders}`;
      for (const [path, text] of Object.entries(archive)) {
        if (path.split('/').includes('..') || path.startsWith('/')) throw new Refused(`${url}: ${path} climbs out`);
        state.files.set(`${folder}/${path}`, text);
      }
      return folder;
    },
    async probe(url) {
      const status = state.probes.get(url);
      if (status === undefined) throw new Unavailable(`${url}: connection refused`);
      return status;
    },
    async restartUnit(unit) {
      state.restarted.push(unit);
      if (state.units.get(unit) === 'inactive') state.units.delete(unit);
    },
    async stopUnit(unit) {
      state.stopped.push(unit);
      state.units.set(unit, 'inactive');
    },
    readUnitState: async (unit) => state.units.get(unit) ?? 'active',
    powerOff: async () => void (state.power = 'off'),
    say: async (line) => void state.console.push(line),
    notify: async (assignments) => void state.notified.push(...assignments),
  };
}

function absolute(path: string): void {
  if (!path.startsWith('/')) throw new Error(`${path} is not an absolute path`);
}
