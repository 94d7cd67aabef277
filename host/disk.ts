/** How full file systems and memory are, in the terms of `df` and `free`. */

import { execFile } from 'node:child_process';
import { access, readFileSync, statfs } from 'node:fs';
import { release } from 'node:os';
import { join, normalize, sep } from 'node:path';
import { promisify } from 'node:util';
import packaged, { getFirstExistingParentPath, type Dependencies } from 'check-disk-space';
import { Unavailable, messageOf } from '../core/errors.ts';
import type { DiskUse, MemoryUse } from '../core/host.ts';

// The package's types describe its CommonJS half, whose default export is one level deeper than that of the ES module that runs.
const checkDiskSpace = packaged as unknown as typeof packaged.default;

/** `df` on a network file system whose server is gone hangs for ever. */
const dfTimeoutMs = 10_000;

/** `path` is what is told, `measured` where it lies under `root`, whose own `df` goes first. Throws `Unavailable` when it could not be told. */
export async function measureDisk(path: string, measured: string, root: string): Promise<DiskUse> {
  try {
    let filesystem = '';
    const dependencies: Dependencies = {
      platform: 'linux',
      release: release(),
      fsAccess: promisify(access),
      pathNormalize: normalize,
      pathSep: sep,
      async cpExecFile(file, args) {
        // POSIX format whatever the language, and no environment that could change what runs.
        const env = { PATH: `${join(root, 'usr/bin')}:/usr/bin:/bin`, LC_ALL: 'C' };
        const output = await promisify(execFile)(file, args, { env, timeout: dfTimeoutMs, killSignal: 'SIGKILL' });
        filesystem = parseFilesystem(output.stdout);
        return output;
      },
    };
    // A folder that is not there yet (Docker's, before its first start) will lie on its parent's file system.
    const there = await getFirstExistingParentPath(measured, dependencies);
    const { diskPath, size, free } = await checkDiskSpace(there, dependencies);
    const { files, ffree } = await promisify(statfs)(there);
    if (!(size > 0 && free >= 0 && diskPath.startsWith('/'))) throw new Error('df printed something unexpected');
    return {
      path,
      filesystem,
      mountPath: diskPath,
      totalBytes: size,
      freeBytes: free,
      totalInodes: files,
      freeInodes: ffree,
    };
  } catch (cause) {
    throw new Unavailable(`cannot measure the disk at ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** The first column of `df -P`, which check-disk-space leaves out; it may itself contain spaces. */
export function parseFilesystem(df: string): string {
  // A path is 4096 bytes at most; on a line of many spaces the pattern would take the square of its length.
  const line = (df.trim().split('\n').at(1) ?? '').slice(0, 8192);
  const name = /^(.*?)\s+\d+\s+-?\d+\s+-?\d+\s+\S+\s+\//.exec(line)?.[1];
  if (name === undefined) throw new Error(`df printed ${JSON.stringify(df.slice(0, 200))}`);
  return name;
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
