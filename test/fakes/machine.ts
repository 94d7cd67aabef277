/**
 * A machine in memory: files that survive a crash, programs that tests write, hardware that tests
 * set.
 */

import { ConfigError, Refused, Unavailable } from '../../core/errors.ts';
import type { ProcessCommand, DiskUse, Exit, Machine, MemoryUse } from '../../core/host.ts';

export type Program = (command: ProcessCommand, signal: AbortSignal) => Exit | Promise<Exit>;

export interface FakeMachine {
  /** Text of each file; an Error is thrown when it is read (not UTF-8, no permission). */
  files: Map<string, string | Error>;
  modes: Map<string, number>;
  /** By path, as `measureDisks` is asked. */
  disks: Map<string, DiskUse>;
  /** Why there is no answer, by path: a file system that hangs. */
  unmeasured: Map<string, string>;
  memory: MemoryUse;
  bootId: string;
  /** By absolute path, or by the end of one. */
  programs: Map<string, Program>;
  /** What is in the .tgz at a URL: relative path → text. */
  archives: Map<string, Record<string, string>>;
  /** Status code by URL; no entry: nobody answers. */
  probes: Map<string, number>;
  restarted: string[];
  /** State of a unit as systemd calls it; default: active. */
  units: Map<string, string>;
  power: 'on' | 'off';
  console: string[];
  notified: string[];
}

const gigabyte = 2 ** 30;

/**
 * A disk of 30 GiB without reserved blocks, of which `usedPercent` of bytes and `inodesPercent` of
 * inodes are used.
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
    restarted: [],
    units: new Map(),
    power: 'on',
    console: [],
    notified: [],
  };
}

export function openMachine(state: FakeMachine): Machine {
  let folders = 0;
  const below = (path: string) => {
    const folder = `${path}/`;
    return [...state.files.keys()].filter((file) => file.startsWith(folder));
  };
  return {
    async readText(path) {
      absolute(path);
      const text = state.files.get(path);
      if (text instanceof Error) throw text;
      return text;
    },
    async writeText(path, text, mode) {
      absolute(path);
      const fault = (problem: string) => new ConfigError([{ path, problem }]);
      if (below(path).length > 0) throw fault('is not a regular file');
      if (state.files.get(path) instanceof Error) throw fault('cannot be replaced');
      const before = state.modes.get(path) ?? 0o644;
      const same = state.files.get(path) === text && before === (mode ?? before);
      state.files.set(path, text);
      state.modes.set(path, mode ?? before);
      return same ? 'unchanged' : 'changed';
    },
    async remove(path) {
      absolute(path);
      const gone = [path, ...below(path)].filter((file) => state.files.delete(file));
      return gone.length > 0;
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
    restartUnit: async (unit) => void state.restarted.push(unit),
    readUnitState: async (unit) => state.units.get(unit) ?? 'active',
    powerOff: async () => void (state.power = 'off'),
    say: async (line) => void state.console.push(line),
    notify: async (word) => void state.notified.push(word),
  };
}

function absolute(path: string): void {
  if (!path.startsWith('/')) throw new Error(`${path} is not an absolute path`);
}
