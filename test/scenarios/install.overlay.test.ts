/**
 * The installer in environments that nobody means well: what it leaves behind is the same in each,
 * and nothing else was run.
 */

import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeRelease } from '../boot/rig/release.ts';

let folder = '';
const at = (name: string) => join(folder, name);

/** Stands in for the binary: says how it was called, and with which mask. */
const binary =
  '#!/bin/sh\nmkdir -p /etc/ecs-node\necho "$*" >/etc/ecs-node/called-with\numask >>/etc/ecs-node/called-with\n';

/** Everything that the installer changes lies in memory, in a mount namespace that ends with it. */
const overlay = `set -eu
mount -t tmpfs -o mode=755 overlay "$FOLDER/memory"
for place in etc usr var; do
  mkdir -p "$FOLDER/memory/$place" "$FOLDER/memory/work-$place"
  mount -t overlay -o "lowerdir=/$place,upperdir=$FOLDER/memory/$place,workdir=$FOLDER/memory/work-$place" overlay "/$place"
done
rm -f /usr/bin/ecs-node
status=0
(umask "$MASK"; exec env -i "$@" /bin/sh "$FOLDER/release/install.sh" --base-url "file://$FOLDER/release" --cluster demo) >&2 || status=$?
cd "$FOLDER/memory"
find etc usr var \\( -type f -o -type d \\) -printf '%m %y %p\\n' | sort -k3
echo "status $status"
cat /etc/ecs-node/called-with
`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ecs-node-install-'));
  const unpacked = at('unpacked');
  await mkdir(unpacked);
  await writeFile(join(unpacked, 'ecs-node'), binary, { mode: 0o755 });
  await cp('systemd', join(unpacked, 'systemd'), { recursive: true });
  await cp('bootstrap/install-files.sh', join(unpacked, 'install-files.sh'));
  for (const name of ['LICENSE', 'config.schema.json']) await cp(name, join(unpacked, name));
  await makeRelease(at('release'), unpacked);
  await mkdir(at('memory'));
  await mkdir(at('evil'));
  for (const name of ['curl', 'tar', 'openssl', 'sha256sum', 'mktemp', 'id', 'uname', 'systemctl', 'xz']) {
    await writeFile(at(`evil/${name}`), `#!/bin/sh\necho ${name} >>${at('evil-was-run')}\nexit 0\n`, { mode: 0o755 });
  }
  await writeFile(at('evil.sh'), `echo sourced >>${at('evil-was-run')}\n`);
  await chmod(folder, 0o755);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function install(mask: string, ...environment: string[]): Promise<{ modes: string[]; said: string }> {
  const { stdout } = await promisify(execFile)(
    'unshare',
    ['--mount', '/bin/bash', '-c', overlay, 'overlay', ...environment],
    {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', FOLDER: folder, MASK: mask },
    },
  );
  const lines = stdout.trim().split('\n');
  const end = lines.findIndex((line) => line.startsWith('status '));
  return { modes: lines.slice(0, end), said: lines.slice(end).join('\n') };
}

const said = 'status 0\nconfigure --cluster demo\n0022';

test('in an empty environment it installs what root alone may write, and leaves nothing of its work behind', async () => {
  const { modes, said: heard } = await install('022');
  expect(heard).toBe(said);
  expect(
    modes.filter((line) => / (usr\/bin\/ecs-node|usr\/lib\/systemd\/system\/ecs-node.service)$/.test(line)),
  ).toEqual(['755 f usr/bin/ecs-node', '644 f usr/lib/systemd/system/ecs-node.service']);
  expect(modes.filter((line) => !/^(1777 d var\/tmp|[67][0145][0145] [df] )/.test(line))).toEqual([]);
  expect(modes.filter((line) => /var\/tmp\/./.test(line))).toEqual([]);
});

test.each(['000', '077', '777'])('under umask %s it leaves the same modes', async (mask) => {
  const plain = await install('022');
  expect(await install(mask)).toEqual(plain);
});

test('no variable of its caller makes it run, or find, anything else', async () => {
  const hostile = [
    `PATH=${at('evil')}:/usr/bin:/bin`,
    'IFS=/.-e',
    'CDPATH=/usr:/tmp',
    `BASH_ENV=${at('evil.sh')}`,
    `ENV=${at('evil.sh')}`,
    `TAR_OPTIONS=--to-command=${at('evil/tar')}`,
    'XZ_OPT=--no-such-option',
    'POSIXLY_CORRECT=1',
  ];
  expect(await install('022', ...hostile)).toEqual(await install('022'));
  await expect(readFile(at('evil-was-run'), 'utf8')).rejects.toThrow('ENOENT');
});
