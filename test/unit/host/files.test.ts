import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ConfigError, Unavailable } from '../../../core/errors.ts';
import { openFiles } from '../../../host/files/files.ts';

function node() {
  const root = mkdtempSync(join(tmpdir(), 'files-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'etc'));
  return { root, files: openFiles(root), at: (path: string) => join(root, path) };
}

test('a changed file keeps its mode and owner', async () => {
  const { files, at } = node();
  writeFileSync(at('etc/a'), 'old');
  chmodSync(at('etc/a'), 0o640);
  // Only root can give a file away.
  const owner = process.getuid?.() === 0 ? { uid: 12, gid: 34 } : statSync(at('etc/a'));
  chownSync(at('etc/a'), owner.uid, owner.gid);
  await files.writeText('/etc/a', 'new');
  const { mode, uid, gid } = statSync(at('etc/a'));
  expect(mode & 0o7777).toBe(0o640);
  expect([uid, gid]).toEqual([owner.uid, owner.gid]);
});

test('a private file is made private even when its text is the same', async () => {
  const { files, at } = node();
  await files.writeText('/etc/a', 'secret');
  expect(await files.writeText('/etc/a', 'secret', 0o600)).toBe('changed');
  expect(statSync(at('etc/a')).mode & 0o7777).toBe(0o600);
  expect(await files.writeText('/etc/a', 'secret', 0o600)).toBe('unchanged');
});

test('an unchanged file is not touched', async () => {
  const { files, at } = node();
  await files.writeText('/etc/a', 'same');
  const before = statSync(at('etc/a'), { bigint: true });
  await files.writeText('/etc/a', 'same');
  const after = statSync(at('etc/a'), { bigint: true });
  expect([after.ino, after.mtimeNs]).toEqual([before.ino, before.mtimeNs]);
});

test('a reader sees the old file or the new one, never a part', async () => {
  const { files, at } = node();
  const texts = ['a', 'b'].map((letter) => letter.repeat(300_000));
  await files.writeText('/etc/a', texts[0]!);
  let writing = true;
  const reader = (async () => {
    while (writing) expect(texts.includes(await readFile(at('etc/a'), 'utf8'))).toBe(true);
  })();
  for (let i = 1; i < 20; i++) await files.writeText('/etc/a', texts[i % 2]!);
  writing = false;
  await reader;
});

test('a killed writer leaves the old file, and the next one removes its temporary file', async () => {
  const { files, root, at } = node();
  await files.writeText('/etc/ecs.config', 'whole\n');
  const program = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    fs.fsync = () => process.kill(process.pid, 'SIGKILL');
    syncBuiltinESMExports();
    const { openFiles } = await import('./host/files/files.ts');
    await openFiles(${JSON.stringify(root)}).writeText('/etc/ecs.config', 'other\\n');`;
  expect(spawnSync(process.execPath, ['--input-type=module-typescript', '-e', program]).signal).toBe('SIGKILL');
  expect(readFileSync(at('etc/ecs.config'), 'utf8')).toBe('whole\n');
  expect(readdirSync(at('etc'))).toHaveLength(2);
  expect(await files.list('/etc')).toEqual(['ecs.config']);
  await files.writeText('/etc/ecs.config', 'other\n');
  expect(readdirSync(at('etc'))).toEqual(['ecs.config']);
});

// A container made such a folder, and took the file from all other containers.
test('a folder with the name of a temporary file keeps no file from being written', async () => {
  const { files, at } = node();
  await files.writeText('/etc/a', 'old');
  mkdirSync(at('etc/.a.4194303.a.ecs-node'));
  expect(await files.writeText('/etc/a', 'new')).toBe('changed');
  expect(await files.readText('/etc/a')).toBe('new');
});

test('a symbolic link is neither replaced nor written through', async () => {
  const { files, at } = node();
  writeFileSync(at('etc/target'), 'theirs');
  symlinkSync('target', at('etc/link'));
  await expect(files.writeText('/etc/link', 'ours')).rejects.toThrow(/\/etc\/link: is a symbolic link/);
  expect(readFileSync(at('etc/target'), 'utf8')).toBe('theirs');
  expect(await files.readText('/etc/link')).toBe('theirs');
});

test('a link that leads out of the root lets nothing be written or removed', async () => {
  const { files, at } = node();
  const outside = mkdtempSync(join(tmpdir(), 'outside-'));
  onTestFinished(() => rmSync(outside, { recursive: true, force: true }));
  writeFileSync(join(outside, 'a'), 'theirs');
  symlinkSync(outside, at('etc/out'));
  symlinkSync('/', at('etc/all'));
  for (const deed of [
    () => files.readText('/etc/out/a'),
    () => files.writeText('/etc/out/a', 'ours'),
    () => files.writeText('/etc/out/deeper/a', 'ours'),
    () => files.remove('/etc/out/a'),
    () => files.readText(`/etc/all${outside}/a`),
    () => files.writeText(`/etc/all${outside}/a`, 'ours'),
  ]) {
    await expect(deed()).rejects.toThrow(/symbolic link that leads out/);
  }
  expect(readFileSync(join(outside, 'a'), 'utf8')).toBe('theirs');
  // The link itself is in the root.
  expect(await files.remove('/etc/out')).toBe(true);
  expect(existsSync(join(outside, 'a'))).toBe(true);
});

test('a path with .. stays inside the root', async () => {
  const { files, at } = node();
  await files.writeText('/../../etc/a', 'here');
  expect(readFileSync(at('etc/a'), 'utf8')).toBe('here');
});

test.each([
  ['no UTF-8', (path: string) => writeFileSync(path, Uint8Array.of(0x63, 0xff, 0xfe)), /is not UTF-8/],
  ['a folder', (path: string) => mkdirSync(path), /is not a regular file/],
  [
    'a named pipe, which nobody writes to',
    (path: string) => void execFileSync('mkfifo', [path]),
    /is not a regular file/,
  ],
  ['larger than any configuration', (path: string) => writeFileSync(path, Buffer.alloc(5_000_000)), /is larger than/],
  ['a link in a circle', (path: string) => symlinkSync(path, path), /cannot read it: ELOOP/],
])("a file that is %s is named as the operator's to fix", async (_, make, problem) => {
  const { files, at } = node();
  make(at('etc/a'));
  const failure = await files.readText('/etc/a').catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ConfigError);
  expect((failure as ConfigError).faults).toMatchObject([{ path: '/etc/a', problem: expect.stringMatching(problem) }]);
});

test('a folder that cannot be made is named by the path of the file', async () => {
  const { files, at } = node();
  writeFileSync(at('etc/file'), '');
  await expect(files.writeText('/etc/file/a', 'x')).rejects.toThrow(ConfigError);
});

test("a full disk is Unavailable, and not the operator's mistake", async () => {
  const { files, root, at } = node();
  const isMounted = mountTiny(at('etc'));
  if (!isMounted) return;
  onTestFinished(() => void execFileSync('umount', [at('etc')]));
  await files.writeText('/etc/a', 'whole');
  const failure = await files.writeText('/etc/a', 'x'.repeat(100_000)).catch((error: unknown) => error);
  expect(failure).toMatchObject({ name: 'Unavailable', message: expect.stringContaining('ENOSPC') });
  expect(readdirSync(join(root, 'etc'))).toEqual(['a']);
  expect(await files.readText('/etc/a')).toBe('whole');
});

/** A file system of 16 kB; only root may mount, and not in every container. */
function mountTiny(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test('a link that leads out of the root lets nothing be read', async () => {
  const { files, at } = node();
  symlinkSync('/etc/hostname', at('etc/a'));
  await expect(files.readText('/etc/a')).rejects.toThrow(/symbolic link that leads out/);
});

test.skipIf(process.getuid?.() !== 0)(
  'a read-only file system is named with the remedy, and not as a missing file',
  async () => {
    const { files, at } = node();
    mkdirSync(at('ro'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=4k', 'none', at('ro')]);
    onTestFinished(() => void execFileSync('umount', [at('ro')]));
    for (const path of ['/ro/ecs-node/config.yaml', '/ro/a/b/c', '/ro/config.yaml']) {
      const error = await files.writeText(path, 'x').catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConfigError);
      expect(String(error)).toMatch(/EROFS.*read-only: remount it/);
    }
  },
);

test('a person who is not root is told to become root', async () => {
  const { files, at } = node();
  mkdirSync(at('etc/closed'), { mode: 0o555 });
  // Root may write everywhere.
  const isRoot = process.geteuid!() === 0;
  if (isRoot) process.seteuid!(65_534);
  try {
    await expect(files.writeText('/etc/closed/a', 'x')).rejects.toThrow(/EACCES.*; run it as root \(sudo\)$/);
  } finally {
    if (isRoot) process.seteuid!(0);
  }
});

// A container with a writable mount filled the folder, and the agent needed 1 GB for its names.
test('a folder with too many names is not listed, and takes no memory for a write', async () => {
  const { files, at } = node();
  mkdirSync(at('run/ports'), { recursive: true });
  for (let index = 0; index < 10_000; index++) writeFileSync(at(`run/ports/${index}`), '');
  await expect(files.list('/run/ports')).rejects.toThrow(/10000 names or more/);
  await expect(files.list('/run/ports')).rejects.toThrow(Unavailable);
  expect(await files.writeText('/run/ports/a', 'ours')).toBe('changed');
});
