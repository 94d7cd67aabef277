import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import { remoteMounts } from '../../../host/files/must-answer.ts';
import { openMachine } from '../../../host/machine.ts';
import { waitFor } from '../../../simulator/wait-for.ts';
import { stopTimers } from './stop-timers.ts';

stopTimers();

const line = (path: string, type: string) => `36 35 98:0 / ${path} rw,noatime - ${type} source rw\n`;

/** A machine with a file system of a server at /mnt/share, whose `stat` does as the test says. */
function node(script = '', mounts = (root: string) => line(`${root}/mnt/share`, 'nfs4')) {
  const root = mkdtempSync(join(tmpdir(), 'answer-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const folder of ['usr/bin', 'proc/self', 'mnt/share/bin', 'mnt/local', 'etc']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  writeFileSync(join(root, 'proc/self/mountinfo'), line('/', 'ext4') + mounts(root));
  writeFileSync(join(root, 'usr/bin/stat'), `#!/bin/sh\necho "$@" >> ${root}/asked\n${script}\n`);
  chmodSync(join(root, 'usr/bin/stat'), 0o755);
  const asked = () => {
    const text = existsSync(join(root, 'asked')) ? readFileSync(join(root, 'asked'), 'utf8') : '';
    return text.split('\n').flatMap((each) => each.split(' -- ')[1]?.replaceAll(root, '') ?? []);
  };
  return { root, at: (path: string) => join(root, path), asked, machine: openMachine(root, {}) };
}

describe('the list of mounts', () => {
  test('names the file systems that need a server or another program, and no local one', () => {
    const list = [
      '22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw',
      '27 1 259:1 / / rw,noatime shared:1 - xfs /dev/nvme0n1p1 rw,attr2',
      '41 27 0:40 / /mnt/efs rw,relatime shared:20 master:3 - nfs4 127.0.0.1:/ rw,vers=4.1,hard',
      '42 27 0:41 / /mnt/s3 rw - fuse.s3fs s3fs rw,user_id=0',
      '43 27 0:42 / /net rw - autofs /etc/auto.net rw',
      '44 27 0:43 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/a',
    ];
    expect([...remoteMounts(`${list.join('\n')}\n`)]).toEqual([
      ['/mnt/efs', 'nfs4'],
      ['/mnt/s3', 'fuse.s3fs'],
      ['/net', 'autofs'],
    ]);
  });

  test('has the path as it is, not as the kernel escapes it', () => {
    const escaped = String.raw`/mnt/a\040-\040b\011c\134d`;
    expect([...remoteMounts(line(escaped, 'cifs')).keys()]).toEqual(['/mnt/a - b\tc\\d']);
  });

  test('has only the last file system at a path', () => {
    expect([...remoteMounts(line('/mnt/a', 'autofs') + line('/mnt/a', 'nfs'))]).toEqual([['/mnt/a', 'nfs']]);
    expect([...remoteMounts(line('/mnt/a', 'nfs') + line('/mnt/a', 'tmpfs'))]).toEqual([]);
  });

  test('leaves out the root, and lines of another shape', () => {
    expect([...remoteMounts(`${line('/', 'nfs')}\nrubbish\n1 2 3:4 / - nfs\n`)]).toEqual([]);
  });
});

test('a path on a local disk starts no program, also beside a file system of a server', async () => {
  const { machine, asked } = node();
  for (const path of ['/mnt/local/a.prom', '/mnt/shared', '/mnt/none/a/b', '/']) await machine.mustAnswer(path);
  await machine.writeShared('/mnt/local/a.prom', 'a 1\n');
  expect(asked()).toEqual([]);
});

test('a file system of a server is asked by its mount point and the whole path, before it is touched', async () => {
  const { machine, asked, at } = node();
  await machine.mustAnswer('/mnt/share/bin/check');
  await machine.mustAnswer('/mnt/share');
  symlinkSync(at('mnt/share/bin'), at('etc/absolute'));
  symlinkSync('../mnt/share/bin', at('etc/relative'));
  symlinkSync('relative', at('etc/twice'));
  for (const name of ['absolute', 'relative', 'twice']) await machine.mustAnswer(`/etc/${name}/check`);
  expect(asked()).toEqual([
    '/mnt/share /mnt/share/bin/check',
    '/mnt/share /mnt/share',
    ...Array.from({ length: 3 }, () => '/mnt/share /mnt/share/bin/check'),
  ]);
});

test('a file system that answers slowly, or with an error, is used', async () => {
  const { machine, root, at } = node(`while [ ! -e "$0.now" ]; do sleep 0.05; done; exit 1`);
  const answered = machine.writeShared('/mnt/share/a.prom', 'a 1\n');
  await waitFor('it is asked', () => existsSync(join(root, 'asked')));
  vi.advanceTimersByTime(4_900);
  writeFileSync(at('usr/bin/stat.now'), '');
  expect(await answered).toBe('changed');
  expect(readFileSync(at('mnt/share/a.prom'), 'utf8')).toBe('a 1\n');
  symlinkSync('loop', at('etc/loop'));
  await machine.mustAnswer('/etc/loop');
});

test('a file system that hangs is refused, at once while its program hangs, and is asked again after that', async () => {
  const { machine, asked, at } = node('[ -e "$0.now" ] || exec sleep 600');
  const first = machine.writeShared('/mnt/share/a.prom', 'a 1\n').catch((error: unknown) => error);
  await waitFor('it is asked', () => asked().length === 1);
  vi.advanceTimersByTime(5_000);
  expect(await first).toBeInstanceOf(Unavailable);
  expect(await first).toMatchObject({
    message: expect.stringMatching(/^\/mnt\/share\/a\.prom: its file .*nfs4/) as string,
  });
  // Nothing has told this process yet that the program was killed.
  const second = machine.mustAnswer('/mnt/share/bin/check').catch((error: unknown) => error);
  expect(vi.getTimerCount(), 'no other program was started').toBe(0);
  expect(await second).toMatchObject({ message: expect.stringContaining('/mnt/share) does not answer') as string });
  expect(existsSync(at('mnt/share/a.prom'))).toBe(false);
  writeFileSync(at('usr/bin/stat.now'), '');
  await waitFor('it is asked again', async () => (await machine.mustAnswer('/mnt/share').catch(() => 'no')) !== 'no');
  await machine.writeShared('/mnt/share/a.prom', 'a 1\n');
});
