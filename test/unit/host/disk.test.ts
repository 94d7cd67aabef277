import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import { parseFilesystem, parseMemory } from '../../../host/disk.ts';
import { openMachine } from '../../../host/machine.ts';

/** A machine whose `df` prints what a test says. */
function nodeWithDf(script: string) {
  const root = mkdtempSync(join(tmpdir(), 'disk-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'usr/bin'), { recursive: true });
  writeFileSync(join(root, 'usr/bin/df'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(root, 'usr/bin/df'), 0o755);
  return openMachine(root, {});
}

const df = (line: string) => `echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'; echo '${line}'`;

test('measures what df says: the name, the mount point and the bytes under Available', async () => {
  const [, line = ''] = execFileSync('df', ['-Pk', tmpdir()], { encoding: 'utf8' }).split('\n');
  const [filesystem, total, , available, , mountPath] = line.split(/\s+/);
  const use = await openMachine('/', {}).measureDisk(tmpdir());
  expect(use).toMatchObject({ path: tmpdir(), filesystem, mountPath, totalBytes: Number(total) * 1024 });
  // Others write to the same disk meanwhile.
  expect(Math.abs(use.freeBytes / 1024 - Number(available))).toBeLessThan(Number(total) / 100);
  expect(use.freeInodes).toBeGreaterThan(0);
  expect(use.freeInodes).toBeLessThan(use.totalInodes);
});

test('a folder that is not there yet lies on the disk of its parent', async () => {
  const machine = openMachine('/', {});
  const { mountPath } = await machine.measureDisk(tmpdir());
  expect(await machine.measureDisk(join(tmpdir(), 'not/there/yet'))).toMatchObject({ mountPath });
});

test('keeps the blocks reserved for root out of what is free', async () => {
  const use = await nodeWithDf(df('/dev/nvme0n1p1 1000 400 550 43% /')).measureDisk('/var/lib/docker');
  expect(use).toMatchObject({
    path: '/var/lib/docker',
    filesystem: '/dev/nvme0n1p1',
    mountPath: '/',
    totalBytes: 1_024_000,
    freeBytes: 563_200,
  });
});

test.each([
  ['fails', 'echo "df: /: Input/output error" >&2; exit 1'],
  ['prints nothing', 'true'],
  ['prints something new', df('/dev/x a b c d /')],
  ['knows no size', df('proc 0 0 0 - /proc')],
])('a df that %s is "could not tell", and never a full disk', async (_, script) => {
  await expect(nodeWithDf(script).measureDisk('/')).rejects.toThrow(Unavailable);
});

test.each([
  ['/dev/nvme0n1p1', '/dev/nvme0n1p1     31444972 4611708 26833264      15% /'],
  ['//server/share 1', '//server/share 1     31444972 4611708 26833264      15% /mnt/share 1'],
  ['overlay', 'overlay 10 20 -10 200% /var/lib/docker/x'],
])('finds the name %s in a line of df', (name, line) => {
  expect(parseFilesystem(`Filesystem 1024-blocks Used Available Capacity Mounted on\n${line}\n`)).toBe(name);
});

test('reads memory and swap, and does not take a missing figure for zero', async () => {
  const meminfo = 'MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   60 kB\nSwapTotal: 10 kB\nSwapFree:  5 kB\n';
  expect(parseMemory(meminfo)).toEqual({
    totalBytes: 102_400,
    availableBytes: 61_440,
    swapTotalBytes: 10_240,
    swapFreeBytes: 5_120,
  });
  expect(() => parseMemory('MemTotal: 100 kB\n')).toThrow('MemAvailable');
  expect((await openMachine('/', {}).measureMemory()).totalBytes).toBeGreaterThan(0);
});
