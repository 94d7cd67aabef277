/**
 * The installer in hostile environments: what it installs is the same in each, and it runs nothing
 * else.
 */

import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeRelease } from '../boot/rig/release.ts';

let folder = '';
const at = (name: string) => join(folder, name);

/** Stands in for the binary: writes down how it was called, and with which mask. */
const binary =
  '#!/bin/sh\nmkdir -p /etc/ecs-node\necho "$*" >/etc/ecs-node/called-with\numask >>/etc/ecs-node/called-with\n';

/** Everything that the installer changes is in memory, in a mount namespace that ends with it. */
const overlay = `set -eu
mount -t tmpfs -o mode=755 overlay "$FOLDER/memory"
for place in etc usr var; do
  mkdir -p "$FOLDER/memory/$place" "$FOLDER/memory/work-$place"
  mount -t overlay -o "lowerdir=/$place,upperdir=$FOLDER/memory/$place,workdir=$FOLDER/memory/work-$place" overlay "/$place"
done
rm -f /usr/bin/ecs-node
eval "$PREPARE"
status=0
(umask "$MASK"; exec env -i "$@" "$SHELL_TO_USE" "$FOLDER/release/install.sh" --base-url "$URL" --cluster demo) >&2 || status=$?
[ -z "$PREPARE" ] || umount /var/tmp 2>/dev/null || true
cd "$FOLDER/memory"
find etc usr var \\( -type f -o -type d \\) -printf '%m %y %p\\n' | sort -k3
echo "status $status"
cat /etc/ecs-node/called-with || true
`;

const commands = ['curl', 'tar', 'openssl', 'sha256sum', 'mktemp', 'id', 'uname', 'systemctl', 'xz', 'sort'];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ecs-node-install-'));
  await mkdir(at('unpacked'));
  await writeFile(at('unpacked/ecs-node'), binary, { mode: 0o755 });
  await writeFile(at('unpacked/VERSION'), '1.0.0\n');
  await cp('systemd', at('unpacked/systemd'), { recursive: true });
  await cp('bootstrap/install-files.sh', at('unpacked/install-files.sh'));
  for (const name of ['LICENSE', 'config.schema.json']) await cp(name, join(at('unpacked'), name));
  await makeRelease(at('release'), at('unpacked'));
  await mkdir(at('memory'));
  await mkdir(at('evil'));
  for (const name of commands) {
    await writeFile(at(`evil/${name}`), `#!/bin/sh\necho ${name} >>${at('evil-was-run')}\nexit 0\n`, { mode: 0o755 });
  }
  await mkdir(at('bash-as-sh'));
  await symlink('/bin/bash', at('bash-as-sh/sh'));
  await writeFile(at('evil.sh'), `echo sourced >>${at('evil-was-run')}\n`);
  await chmod(folder, 0o755);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Given {
  mask?: string;
  environment?: string[];
  shell?: string;
  url?: string;
  /** Shell code that runs before the installer, as root, in the overlay. */
  prepare?: string;
}

async function install({ mask = '022', environment = [], shell = '/bin/sh', url, prepare = '' }: Given = {}) {
  const { stdout, stderr } = await promisify(execFile)(
    'unshare',
    ['--mount', '--net', '/bin/bash', '-c', overlay, 'overlay', ...environment],
    {
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        FOLDER: folder,
        MASK: mask,
        SHELL_TO_USE: shell,
        URL: url ?? `file://${folder}/release`,
        PREPARE: prepare,
      },
    },
  );
  const lines = stdout.trim().split('\n');
  const end = lines.findIndex((line) => line.startsWith('status '));
  return { modes: lines.slice(0, end), said: lines.slice(end).join('\n'), told: stderr };
}

const said = 'status 0\nconfigure --cluster demo\n0022';

test('the installer in an empty environment writes files that only root may change, and leaves no temporary files', async () => {
  const { modes, said: heard } = await install();
  expect(heard).toBe(said);
  expect(
    modes.filter((line) => / (usr\/bin\/ecs-node|usr\/lib\/systemd\/system\/ecs-node.service)$/.test(line)),
  ).toEqual(['755 f usr/bin/ecs-node', '644 f usr/lib/systemd/system/ecs-node.service']);
  expect(modes.filter((line) => !/^(1777 d var\/tmp|[67][0145][0145] [df] )/.test(line))).toEqual([]);
  expect(modes.filter((line) => /var\/tmp\/./.test(line))).toEqual([]);
});

test.each(['000', '077', '777'])('the installer under umask %s sets the same modes', async (mask) => {
  const { modes, said: heard } = await install();
  expect(await install({ mask })).toMatchObject({ modes, said: heard });
});

/** How bash hands functions to its children. */
const functions = (names: string[]) =>
  names.map((name) => `BASH_FUNC_${name}%%=() { echo ${name} >>${at('evil-was-run')}; }`);

/** Every program and builtin of the script's text. */
const called = [
  ...commands,
  ...'cp mv chmod mkdir rm grep sed sh env dnf echo printf command cd ['.split(' '),
  ...'unset set exit export shift trap eval umask unalias continue return :'.split(' '),
];

test.each([
  ['variables', '/bin/sh'],
  ['functions', '/bin/bash'],
  // bash under this name is Amazon Linux's sh.
  ['functions', 'bash-as-sh/sh'],
])('no %s of the caller makes the installer run, or find, anything else under %s', async (what, shell) => {
  const hostile =
    what === 'functions'
      ? functions(called)
      : [
          `PATH=${at('evil')}:/usr/bin:/bin`,
          'IFS=/.-e',
          'CDPATH=/usr:/tmp',
          `BASH_ENV=${at('evil.sh')}`,
          `ENV=${at('evil.sh')}`,
          `TAR_OPTIONS=--to-command=${at('evil/tar')}`,
          'XZ_OPT=--no-such-option',
          'POSIXLY_CORRECT=1',
          'OPENSSL_CONF=/no/such/file',
        ];
  const { modes } = await install();
  expect(await install({ environment: hostile, shell: resolve(folder, shell) })).toMatchObject({ modes, said });
  await expect(readFile(at('evil-was-run'), 'utf8')).rejects.toThrow('ENOENT');
});

// A function of the caller in place of "exit" let the installer go on after a refusal.
test.each(['/bin/bash', 'bash-as-sh/sh'])(
  'no function of the caller keeps the installer from a refusal under %s',
  async (shell) => {
    const url = 'http://127.0.0.1:1@evil.example/';
    const refused = await install({ url, environment: functions(called), shell: resolve(folder, shell) });
    expect(refused).toMatchObject({ modes: ['755 d etc', '755 d usr', '755 d var'], said: 'status 64' });
    await expect(readFile(at('evil-was-run'), 'utf8')).rejects.toThrow('ENOENT');
  },
);

test("the installer does not read its caller's .curlrc", async () => {
  await mkdir(at('home'), { recursive: true });
  await writeFile(at('home/.curlrc'), `output = ${at('evil-was-run')}\ninsecure\nproxy = http://127.0.0.1:1\n`);
  const environment = [`HOME=${at('home')}`, `CURL_HOME=${at('home')}`, `XDG_CONFIG_HOME=${at('home')}`];
  expect(await install({ environment })).toMatchObject({ said });
  await expect(readFile(at('evil-was-run'), 'utf8')).rejects.toThrow('ENOENT');
});

test('the installer works on a hardened image, whose /var/tmp is mounted noexec', async () => {
  expect(await install({ prepare: 'mount -t tmpfs -o noexec,nosuid,nodev tmpfs /var/tmp' })).toMatchObject({ said });
});

test.each([
  'http://127.0.0.1:1@evil.example/',
  'http://127.0.0.1:80:x@evil.example/',
  'http://127.0.0.1:@evil.example/',
  'http://127.0.0.1:80\\@evil.example/',
  'http://169.254.169.254:1@evil.example/',
  'http://127.0.0.1:80x/',
  'http://127.0.0.1.evil.example/',
  'http://evil.example/',
  'https://evil.example/?next=http://127.0.0.1/',
  'https://evil.example/{a,b}',
  'ftp://evil.example/',
  'file://evil.example/release',
])('the installer downloads nothing from %s', async (url) => {
  const { said: heard, told } = await install({ url });
  expect(heard).toMatch(/^status 64/);
  expect(told).not.toContain('cannot download');
});

test.each([
  'http://127.0.0.1:1',
  'http://127.0.0.1:1/',
  'http://169.254.169.254/a/b',
  'https://releases.example/1.2.3/',
])('the installer tries to download from %s', async (url) => {
  // The namespace has no network: each try ends at once, and five of them in a quarter of a minute.
  const { said: heard, told } = await install({ url });
  expect(heard).toMatch(/^status 69/);
  expect(told).toContain('cannot download');
});

test('a password in the URL of a private release is used and not shown', async () => {
  const { said: heard, told } = await install({ url: 'https://user:secret@releases.example/1.2.3' });
  expect(heard).toMatch(/^status 69/);
  expect(told).toContain('cannot download https://releases.example/1.2.3/');
  expect(told).not.toContain('secret@');
});

test.each(['0.9.9\n', '1.0.0-rc.1\n', '\n', '$(reboot)\n', undefined])(
  'an older release, with a signature as good (%j), is not installed',
  async (version) => {
    const older = at('older');
    await cp(at('unpacked'), older, { recursive: true });
    await rm(join(older, 'VERSION'));
    if (version !== undefined) await writeFile(join(older, 'VERSION'), version);
    // The script of the new release, and the key that signed both.
    await makeRelease(at('replayed'), older);
    const { modes, said: heard, told } = await install({ prepare: `mount --bind ${at('replayed')} ${at('release')}` });
    await rm(older, { recursive: true });
    await rm(at('replayed'), { recursive: true });
    expect(heard).toMatch(/^status 76/);
    expect(told).toMatch(/older than/);
    expect(modes.filter((line) => line.endsWith('usr/bin/ecs-node'))).toEqual([]);
  },
);

test('a newer release is installed', async () => {
  const newer = at('newer');
  await cp(at('unpacked'), newer, { recursive: true });
  await writeFile(join(newer, 'VERSION'), '1.0.10\n');
  await makeRelease(at('served'), newer);
  expect(await install({ prepare: `mount --bind ${at('served')} ${at('release')}` })).toMatchObject({ said });
});

/** A proxy that writes down what it is asked, and refuses: the namespace has nothing behind it. */
const proxy = String.raw`ip link set lo up
printf '#!/bin/sh\nhead -n 4 >>%s/asked\nprintf "HTTP/1.1 403 No\\r\\n\\r\\n"\n' "$FOLDER" >"$FOLDER/answer"
chmod 755 "$FOLDER/answer"
timeout 60 socat TCP-LISTEN:3128,bind=127.0.0.1,fork,reuseaddr EXEC:"$FOLDER/answer" </dev/null >/dev/null 2>&1 &
for i in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn | grep -q 3128 && break; sleep 0.1; done
`;

test.each([
  ['its caller set', ['HTTPS_PROXY=http://me:canary-proxy@127.0.0.1:3128'], ''],
  [
    'the file of the machine names',
    [],
    `mkdir -p /etc/ecs-node; echo 'HTTPS_PROXY="http://me:canary-proxy@127.0.0.1:3128"' >/etc/ecs-node/environment`,
  ],
])(
  'the installer downloads through the proxy that %s, and never shows its password',
  async (_, environment, prepare) => {
    await rm(at('asked'), { force: true });
    const { said: heard, told } = await install({
      url: 'https://releases.example/1.2.3',
      environment,
      prepare: `${proxy}${prepare}`,
    });
    expect(heard).toMatch(/^status 69/);
    expect(told).not.toContain('canary');
    expect(await readFile(at('asked'), 'utf8')).toMatch(
      /^CONNECT releases\.example:443 [\s\S]*Proxy-Authorization: Basic/,
    );
  },
);

test("the caller's network settings count for the units, too, and only root may read them", async () => {
  const environment = [
    'https_proxy=http://me:canary@10.0.0.2:3128',
    'NO_PROXY=.internal, 10.0.0.0/8',
    'AWS_CA_BUNDLE=/x.pem',
  ];
  const kept = await install({ environment, prepare: 'trap "cat /etc/ecs-node/environment >&2" EXIT' });
  expect(kept.modes).toContain('600 f etc/ecs-node/environment');
  expect(kept.told).toContain("https_proxy='http://me:canary@10.0.0.2:3128'");
  expect(kept.told).toContain("NO_PROXY='.internal, 10.0.0.0/8'");
  expect(kept.told).toContain("AWS_CA_BUNDLE='/x.pem'");
  const without = await install();
  expect(without.modes.filter((line) => line.endsWith('etc/ecs-node/environment'))).toEqual([]);
});

test('a removed ecs-node leaves no installer that keeps ecs from starting', async () => {
  const { modes } = await install({
    prepare:
      'mkdir -p /etc/systemd/system/ecs.service.d; echo >/etc/systemd/system/ecs.service.d/05-ecs-node-is-there.conf',
  });
  expect(modes.filter((line) => line.includes('ecs-node-is-there'))).toEqual([]);
  // An operator's own files stay.
  const kept = await install({
    prepare: 'mkdir -p /etc/systemd/system/ecs.service.d; echo >/etc/systemd/system/ecs.service.d/50-mine.conf',
  });
  expect(kept.modes.filter((line) => line.endsWith('ecs.service.d/50-mine.conf'))).toHaveLength(1);
});

test('a download that fails keeps ecs from starting on a machine that has no ecs-node', async () => {
  const { said: heard, modes } = await install({ url: 'file:///no/such/release' });
  expect(heard).toMatch(/^status 69/);
  expect(modes.filter((line) => line.includes('ecs-node-is-there'))).toHaveLength(1);
});
