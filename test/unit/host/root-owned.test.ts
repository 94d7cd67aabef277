import { spawnSync } from 'node:child_process';
import {
  chmod,
  chown,
  lchown,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { geteuid } from 'node:process';
import { expect, onTestFinished, test } from 'vitest';
import { Refused } from '../../../core/errors.ts';
import { openMachine } from '../../../host/machine.ts';

const patient = new AbortController().signal;
const folder = '/etc/ecs-node/hooks.d/joined';

async function node() {
  const root = await mkdtemp(join(tmpdir(), 'guarded-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const at = (path: string) => join(root, path);
  await mkdir(at(folder), { recursive: true, mode: 0o755 });
  await writeFile(at(`${folder}/hook`), '#!/bin/sh\nexit 7\n', { mode: 0o755 });
  await chmod(at(`${folder}/hook`), 0o755);
  const machine = openMachine(root, {});
  const { run } = machine;
  return {
    at,
    machine,
    run: () => run({ file: `${folder}/hook`, args: [], environment: {}, rootOwned: true }, patient),
  };
}

test('a hook that only root can change runs', async () => {
  const { run } = await node();
  expect((await run()).code).toBe(7);
});

test('a program that is missing is refused as such, in a folder that only root can change', async () => {
  const { at, machine } = await node();
  const missing = async (file: string) => machine.run({ file, args: [], environment: {}, rootOwned: true }, patient);
  await expect(missing(`${folder}/none`)).rejects.toThrow(/there is no program/);
  await expect(missing('/opt/none/check')).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(missing(`${folder}/hook/check`)).rejects.toMatchObject({ code: 'ENOTDIR' });
  await chmod(at(folder), 0o777);
  await expect(missing(`${folder}/none`)).rejects.toThrow(/not run as root/);
});

test.each([
  ['the hook itself', `${folder}/hook`],
  ['its folder', folder],
  ['a folder above', '/etc/ecs-node'],
])('a hook does not run when everybody can write %s', async (_, path) => {
  const { run, at } = await node();
  await chmod(at(path), 0o777);
  await expect(run()).rejects.toThrow(/not run as root: .* can be written by every user; chown root:root/);
});

test('a file for others to read is written whole, readable by all, and into folders that are made for it', async () => {
  const { at, machine } = await node();
  await machine.writeShared('/var/lib/metrics/node/a.prom', 'a 1\n');
  expect(await readFile(at('/var/lib/metrics/node/a.prom'), 'utf8')).toBe('a 1\n');
  expect((await stat(at('/var/lib/metrics/node/a.prom'))).mode & 0o777).toBe(0o644);
  expect(await readdir(at('/var/lib/metrics/node'))).toEqual(['a.prom']);
});

test.each([
  ['its folder', '/srv/metrics'],
  ['a folder above', '/srv'],
])('a file for others to read is not written where everybody can change %s', async (_, path) => {
  const { at, machine } = await node();
  await mkdir(at('/srv/metrics'), { recursive: true, mode: 0o755 });
  await chmod(at(path), 0o1777);
  await expect(machine.writeShared('/srv/metrics/a.prom', 'a 1\n')).rejects.toThrow(
    /nothing is written to .*every user/,
  );
  await expect(machine.writeShared('/srv/metrics/new/a.prom', 'a 1\n')).rejects.toThrow(Refused);
});

test.skipIf(geteuid?.() !== 0)(
  'a hook does not run through a link of another user, wherever it stands in the chain',
  async () => {
    const { run, at } = await node();
    await mkdir(at('/srv/real'), { recursive: true, mode: 0o755 });
    await rename(at(`${folder}/hook`), at('/srv/real/hook'));
    await symlink(at('/srv/middle/hook'), at(`${folder}/hook`));
    await symlink('real', at('/srv/middle'));
    expect((await run()).code).toBe(7);
    await lchown(at('/srv/middle'), 12_345, 12_345);
    await expect(run()).rejects.toThrow(/not run as root: .*srv\/middle belongs to user 12345/);
  },
);

test('a hook behind a link does not run when others can change its target', async () => {
  const { run, at } = await node();
  await mkdir(at('/srv'), { mode: 0o755 });
  await rename(at(`${folder}/hook`), at('/srv/real'));
  await symlink('../../../../srv/real', at(`${folder}/hook`));
  expect((await run()).code).toBe(7);
  await chmod(at('/srv'), 0o777);
  await expect(run()).rejects.toThrow(Refused);
});

test.skipIf(geteuid?.() !== 0)('a hook of another user, or of a group that may write it, does not run', async () => {
  const { run, at } = await node();
  await chown(at(`${folder}/hook`), 12_345, 0);
  await expect(run()).rejects.toThrow(/belongs to user 12345/);
  await chown(at(`${folder}/hook`), 0, 12_345);
  await chmod(at(`${folder}/hook`), 0o775);
  await expect(run()).rejects.toThrow(/written by group 12345/);
});

/**
 * Gives user 12345 the right to write, as `setfacl -m u:12345:rwx` does, which needs a package of
 * its own.
 */
const setAcl = `
import os, struct, sys
entry = lambda tag, perm, who=0xFFFFFFFF: struct.pack('<HHI', tag, perm, who)
acl = struct.pack('<I', 2) + entry(1, 7) + entry(2, 7, 12345) + entry(4, 5) + entry(16, 7) + entry(32, 5)
os.setxattr(sys.argv[1], 'system.posix_acl_access', acl)
`;

test.each([
  ['the hook', `${folder}/hook`],
  ['its folder', folder],
])('a hook does not run when an ACL lets a user write %s, though owner and group are root', async (_, path) => {
  const { run, at } = await node();
  expect((await run()).code).toBe(7);
  const { status, stderr } = spawnSync('python3', ['-c', setAcl, at(path)], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  await expect(run()).rejects.toThrow(/can be written by group 0, or by the users and groups of its ACL/);
});
