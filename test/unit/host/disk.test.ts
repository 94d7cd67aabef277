import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Machine } from '../../../core/host.ts';
import { parseLine, parseMemory } from '../../../host/disk.ts';
import { openMachine } from '../../../host/machine.ts';
import { waitFor } from '../../../simulator/wait-for.ts';
import { stopTimers } from './stop-timers.ts';

stopTimers();

/** A machine whose `df` prints what a test says. */
function nodeWithDf(script: string) {
  const root = mkdtempSync(join(tmpdir(), 'disk-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'usr/bin'), { recursive: true });
  writeFileSync(join(root, 'usr/bin/df'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(root, 'usr/bin/df'), 0o755);
  return openMachine(root, {});
}

const header = 'Filesystem 1024-blocks Used Available Capacity Mounted on';
const df = (...lines: string[]) => [header, ...lines].map((line) => `echo '${line}'`).join('; ');

function linesOf(file: string): number {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
}

async function measureOne(machine: Machine, path: string) {
  const { uses, unmeasured } = await machine.measureDisks([path]);
  expect(unmeasured).toEqual([]);
  return uses[0]!;
}

test('reports what df reports: the name, the mount point, used and available bytes', async () => {
  const [, line = ''] = execFileSync('df', ['-Pk', tmpdir()], { encoding: 'utf8' }).split('\n');
  const [filesystem, total, used, available, , mountPath] = line.split(/\s+/);
  const use = await measureOne(openMachine('/', {}), tmpdir());
  expect(use).toMatchObject({ path: tmpdir(), filesystem, mountPath, totalBytes: Number(total) * 1024 });
  // Others write to the same disk meanwhile.
  expect(Math.abs(use.freeBytes / 1024 - Number(available))).toBeLessThan(Number(total) / 100);
  expect(Math.abs(use.usedBytes / 1024 - Number(used))).toBeLessThan(Number(total) / 100);
  expect(use.freeInodes).toBeGreaterThan(0);
  expect(use.freeInodes).toBeLessThan(use.totalInodes);
});

test('a missing folder counts on the disk of its parent', async () => {
  const machine = openMachine('/', {});
  const { mountPath } = await measureOne(machine, tmpdir());
  const there = join(tmpdir(), 'not/there/yet');
  // The second time it is measured apart from the others.
  for (const _ of [1, 2]) {
    const { uses } = await machine.measureDisks([tmpdir(), there]);
    expect(uses.map((use) => [use.path, use.mountPath])).toEqual([
      [tmpdir(), mountPath],
      [there, mountPath],
    ]);
  }
});

test('one df measures all paths', async () => {
  const root = mkdtempSync(join(tmpdir(), 'disk-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const machine = nodeWithDf(`echo "$@" >> ${root}/asked; ${df('/dev/a 10 1 9 10% /', '/dev/b 20 1 19 5% /data 1')}`);
  const { uses } = await machine.measureDisks(['/', '/var']);
  expect(uses.map(({ filesystem, mountPath }) => [filesystem, mountPath])).toEqual([
    ['/dev/a', '/'],
    ['/dev/b', '/data 1'],
  ]);
  expect(readFileSync(`${root}/asked`, 'utf8').split('\n')).toHaveLength(2);
});

test('keeps the blocks reserved for root out of the free ones', async () => {
  const use = await measureOne(nodeWithDf(df('/dev/nvme0n1p1 1000 400 550 43% /')), '/var/lib/docker');
  expect(use).toMatchObject({
    path: '/var/lib/docker',
    filesystem: '/dev/nvme0n1p1',
    mountPath: '/',
    totalBytes: 1_024_000,
    usedBytes: 409_600,
    freeBytes: 563_200,
  });
});

test.each([
  ['fails', 'echo "df: /: Input/output error" >&2; exit 1', 'df: /: Input/output error'],
  ['prints nothing', 'true', 'df printed ""'],
  ['prints something new', df('/dev/x a b c d /'), 'df printed'],
  ['knows no size', df('proc 0 0 0 - /proc'), 'df printed something unexpected'],
])('a df that %s means "could not be measured", and never a full disk', async (_, script, reason) => {
  const { uses, unmeasured } = await nodeWithDf(script).measureDisks(['/']);
  expect(uses).toEqual([]);
  expect(unmeasured).toEqual([{ path: '/', reason: expect.stringContaining(reason) as string }]);
});

// A stale NFS handle: `df` prints the other lines and exits with 1.
test('a path with a stale handle does not hide the others, the first time and later', async () => {
  const machine = nodeWithDf(
    `for path; do case $path in */stale) stale=1; echo "df: $path: Stale file handle" >&2;; esac; done
     if [ "$#" -gt 3 ] || [ -z "$stale" ]; then ${df('/dev/a 10 1 9 10% /')}; fi
     exit \${stale:-0}`,
  );
  for (const _ of [1, 2]) {
    const { uses, unmeasured } = await machine.measureDisks(['/', '/mnt/stale']);
    expect(uses.map(({ path }) => path)).toEqual(['/']);
    expect(unmeasured).toEqual([{ path: '/mnt/stale', reason: expect.stringMatching(/Stale file handle/) as string }]);
  }
});

test('a path whose df hangs does not hide the others, and waits until that df has ended', async () => {
  const root = mkdtempSync(join(tmpdir(), 'disk-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  // A child of its own keeps df's output open, as a program does that not even SIGKILL ends.
  const machine = nodeWithDf(
    `case "$*" in */mnt/share*) echo "$@" >> ${root}/hung; sleep 60;; esac; ${df('/dev/a 10 1 9 10% /')}`,
  );
  const measuring = machine.measureDisks(['/', '/mnt/share']);
  // First the df of both paths hangs, then that of its path alone.
  for (const hung of [1, 2]) {
    await waitFor(`only df number ${hung} runs`, () => linesOf(`${root}/hung`) === hung && vi.getTimerCount() === 1);
    vi.advanceTimersByTime(5_000);
  }
  const first = await measuring;
  expect(first.uses.map(({ path }) => path)).toEqual(['/']);
  expect(first.unmeasured).toEqual([{ path: '/mnt/share', reason: 'df has not answered within 5 s' }]);
});

test.each([
  ['/dev/nvme0n1p1', '/', '/dev/nvme0n1p1     31444972 4611708 26833264      15% /'],
  ['//server/share 1', '/mnt/share 1', '//server/share 1     31444972 4611708 26833264      15% /mnt/share 1'],
  ['overlay', '/var/lib/docker/x', 'overlay 10 20 -10 200% /var/lib/docker/x'],
])('finds the name %s and the mount point %s in a line of df', (filesystem, mountPath, line) => {
  expect(parseLine(line)).toMatchObject({ filesystem, mountPath });
});

test('reads memory and swap, and does not take a missing value for zero', async () => {
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
