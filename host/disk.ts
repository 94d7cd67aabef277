/** Measures file systems and memory, in the terms of `df` and `free`. */

import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { dirname, join, normalize, sep } from 'node:path';
import packaged, { type Dependencies } from 'check-disk-space';
import { Unavailable, messageOf } from '../core/errors.ts';
import type { DiskMeasurement, DiskUse, MemoryUse } from '../core/host.ts';
import { Hangs, keepWhileItHangs, maxHanging, runBounded, type Ended } from './bounded-child.ts';

// The package's types describe its CommonJS half. Its default export is one level deeper than that
// of the ES module that runs.
const checkDiskSpace = packaged as unknown as typeof packaged.default;

/**
 * `df` answers within milliseconds, or within a second on a machine that swaps. A slower network
 * file system counts as gone.
 */
const programTimeoutMs = 5_000;

export interface Disks {
  /**
   * Measures all paths with one `df` and one `stat`. Paths without an answer at the last
   * measurement are measured apart from the others. Never throws.
   */
  measure(paths: readonly string[]): Promise<DiskMeasurement>;
}

type Measured = { use: DiskUse } | { path: string; reason: string };

interface Probe {
  below(path: string): string;
  run(file: string, args: readonly string[]): Promise<Ended>;
  /**
   * Paths that failed at the last measurement. Measured together with the others, they would hide
   * them.
   */
  apart: Set<string>;
  /** Paths whose program still hangs. */
  hanging: Set<string>;
  /** Paths that are being measured alone. A second caller shares the answer, and its programs. */
  running: Map<string, Promise<Measured>>;
}

/**
 * `root`: paths lie below it, and its own `df` takes precedence. This process never touches a
 * measured path. Four calls that hang in the kernel would take all four threads of Node.js's pool,
 * and every write to the disk waits for such a thread.
 */
export function openDisks(root: string): Disks {
  // POSIX format in every language, and no environment that could change the program.
  const environment = { PATH: `${join(root, 'usr/bin')}:/usr/bin:/bin`, LC_ALL: 'C' };
  const probe: Probe = {
    below: (path) => join(root, path),
    run: (file, args) => runBounded(file, args, environment, programTimeoutMs),
    apart: new Set(),
    hanging: new Set(),
    running: new Map(),
  };
  return {
    async measure(paths) {
      const { apart } = probe;
      const [together, each] = await Promise.all([
        measureTogether(
          probe,
          paths.filter((path) => !apart.has(path)),
        ),
        measureEach(
          probe,
          paths.filter((path) => apart.has(path)),
          0,
        ),
      ]);
      const all = [...together, ...each];
      const inOrder = <T extends { path: string }>(list: T[]) =>
        list.toSorted((a, b) => paths.indexOf(a.path) - paths.indexOf(b.path));
      return {
        uses: inOrder(all.flatMap((result) => ('use' in result ? [result.use] : []))),
        unmeasured: inOrder(all.flatMap((result) => ('use' in result ? [] : [result]))),
      };
    },
  };
}

async function measureTogether(probe: Probe, paths: readonly string[]): Promise<Measured[]> {
  if (paths.length === 0) return [];
  try {
    const { stdout } = await probe.run('df', ['-Pk', '--', ...paths.map(probe.below)]);
    const lines = readLines(stdout);
    // Without a line for each path, the lines cannot be assigned to paths.
    if (lines.length !== paths.length) return await measureEach(probe, paths, 1);
    const inodes = await readInodes(probe, paths.map(probe.below));
    return await Promise.all(paths.map(async (path, at) => ({ use: await toUse(path, lines[at]!, inodes[at]) })));
  } catch {
    return measureEach(probe, paths, 1);
  }
}

/**
 * The first paths come first: `/` and Docker's. For a path whose program hangs, no second program
 * starts. `least`: programs that may run although that many already hang.
 */
async function measureEach(probe: Probe, paths: readonly string[], least: 0 | 1): Promise<Measured[]> {
  const { apart, hanging } = probe;
  const left = paths.filter((path) => !hanging.has(path));
  const results: Measured[] = paths
    .filter((path) => hanging.has(path))
    .map((path) => ({ path, reason: 'its file system still hangs' }));
  const work = async () => {
    for (let path = left.shift(); path !== undefined; path = left.shift()) {
      results.push(await shareMeasurement(probe, path));
      if (hanging.has(path)) return;
    }
  };
  await Promise.all(Array.from({ length: Math.max(least, maxHanging - hanging.size) }, work));
  for (const path of left) apart.add(path);
  return [...results, ...left.map((path) => ({ path, reason: `${hanging.size} file systems hang already` }))];
}

async function shareMeasurement(probe: Probe, path: string): Promise<Measured> {
  const { running } = probe;
  const shared = running.get(path);
  if (shared !== undefined) return shared;
  const own = measureAlone(probe, path).finally(() => running.delete(path));
  running.set(path, own);
  return own;
}

async function measureAlone(probe: Probe, path: string): Promise<Measured> {
  const { apart, hanging, below } = probe;
  try {
    const { there, line } = await findLine(probe, below(path));
    const [inodes] = await readInodes(probe, [there]);
    const use = await toUse(path, line, inodes);
    if (there === below(path)) apart.delete(path);
    else apart.add(path);
    return { use };
  } catch (error) {
    apart.add(path);
    if (error instanceof Hangs) keepWhileItHangs(hanging, path, error);
    return { path, reason: messageOf(error) };
  }
}

/** A missing folder (Docker's, before its first start) will lie on its parent's file system. */
async function findLine({ run }: Probe, full: string): Promise<{ there: string; line: string }> {
  for (let there = full; ; there = dirname(there)) {
    const { code, stdout, stderr } = await run('df', ['-Pk', '--', there]);
    const line = readLines(stdout).at(0);
    if (code === 0 && line !== undefined) return { there, line };
    if (!/No such file or directory/.test(stderr) || there === '/') {
      throw new Unavailable(lastLine(stderr) ?? `df printed ${JSON.stringify(stdout.slice(0, 200))}`);
    }
  }
}

/**
 * Total and free inodes, in order. Empty when `stat` cannot report them: bytes alone are still an
 * answer.
 */
async function readInodes({ run }: Probe, paths: readonly string[]): Promise<[total: number, free: number][]> {
  const { code, stdout } = await run('stat', ['-f', '--format=%c %d', '--', ...paths]).catch((error: unknown) => {
    if (error instanceof Hangs) throw error;
    return { code: -1, stdout: '' };
  });
  const counts = stdout.split('\n').flatMap((line) => {
    const [, total, free] = /^(\d+) (\d+)$/.exec(line) ?? [];
    return total === undefined || free === undefined ? [] : [[Number(total), Number(free)] as [number, number]];
  });
  return code === 0 && counts.length === paths.length ? counts : [];
}

function readLines(df: string): string[] {
  return df
    .split('\n')
    .slice(1)
    .filter((line) => line.trim() !== '');
}

function lastLine(text: string): string | undefined {
  return text.trim().split('\n').at(-1) || undefined;
}

async function toUse(path: string, line: string, inodes: [number, number] | undefined): Promise<DiskUse> {
  const { filesystem, mountPath, used, rest } = parseLine(line);
  const dependencies: Dependencies = {
    platform: 'linux',
    release: release(),
    // The program has already checked the path, in a process that may hang.
    fsAccess: async () => {},
    pathNormalize: normalize,
    pathSep: sep,
    // Columns are separated by spaces, and a name may contain spaces.
    cpExecFile: async () => ({ stdout: `${header}\n- ${rest}`, stderr: '' }),
  };
  const { size, free } = await checkDiskSpace(path, dependencies);
  if (!(size > 0 && free >= 0 && used >= 0)) throw new Unavailable('df printed something unexpected');
  const [totalInodes = 0, freeInodes = 0] = inodes ?? [];
  return {
    path,
    filesystem,
    mountPath,
    totalBytes: size,
    usedBytes: used,
    freeBytes: free,
    totalInodes,
    freeInodes,
  };
}

const header = 'Filesystem 1024-blocks Used Available Capacity Mounted on';

/**
 * A line of `df -Pk`. Its first and last columns may contain spaces. `used` is in bytes. `rest` is
 * everything except the first column.
 */
export function parseLine(text: string): { filesystem: string; mountPath: string; used: number; rest: string } {
  // A path has at most 4096 bytes. On a line of many spaces, the pattern would take the square of
  // its length.
  const line = text.slice(0, 8192);
  const pattern = /^(.*?)\s+(\d+\s+(-?\d+)\s+-?\d+\s+\S+\s+(\/.*))$/;
  const [, filesystem, rest, used, mountPath] = pattern.exec(line) ?? [];
  if (filesystem === undefined || rest === undefined || mountPath === undefined) {
    throw new Error(`df printed ${JSON.stringify(line.slice(0, 200))}`);
  }
  return { filesystem, mountPath, rest, used: Number(used) * 1024 };
}

export async function measureMemory(): Promise<MemoryUse> {
  try {
    return parseMemory(readFileSync('/proc/meminfo', 'utf8'));
  } catch (cause) {
    throw new Unavailable(`cannot measure the memory: ${messageOf(cause)}`, { cause });
  }
}

export function parseMemory(meminfo: string): MemoryUse {
  const take = (key: string): number => {
    const kilobytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1];
    if (kilobytes === undefined) throw new Error(`/proc/meminfo has no ${key}`);
    return Number(kilobytes) * 1024;
  };
  return {
    totalBytes: take('MemTotal'),
    availableBytes: take('MemAvailable'),
    swapTotalBytes: take('SwapTotal'),
    swapFreeBytes: take('SwapFree'),
  };
}
