import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { openMachine } from '../../../host/machine.ts';
import { nowhere, serve } from './local-server.ts';
import { someConfirmed } from '../../fakes/confirmed.ts';

const patient = new AbortController().signal;

/** A machine in a folder, whose programs are shell scripts. */
function node(environment: Record<string, string> = {}) {
  // Short: a socket's path has at most 107 characters.
  const root = mkdtempSync(join(tmpdir(), 'm-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const folder of ['usr/bin', 'var/run', 'dev']) mkdirSync(join(root, folder), { recursive: true });
  const program = (name: string, script: string) => {
    writeFileSync(join(root, 'usr/bin', name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(root, 'usr/bin', name), 0o755);
  };
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  return { root, program, read, machine: openMachine(root, environment) };
}

test('restarts a unit without waiting for it', async () => {
  const { machine, program, root, read } = node();
  program('systemctl', `echo "$@" > ${root}/asked`);
  await machine.restartUnit('ecs.service', patient);
  expect(read('asked')).toBe('--no-block restart ecs.service\n');
});

test('refuses an unknown unit; a systemd in trouble is Unavailable', async () => {
  const { machine, program } = node();
  program('systemctl', 'echo "Unit ecs.service not found." >&2; exit 5');
  await expect(machine.restartUnit('ecs', patient)).rejects.toThrow(/^(?=.*not found).*$/);
  await expect(machine.restartUnit('ecs', patient)).rejects.toThrow(Refused);
  program('systemctl', 'echo "Failed to connect to bus" >&2; exit 1');
  await expect(machine.restartUnit('ecs', patient)).rejects.toThrow(Unavailable);
});

test("reads a unit's state, and does not guess when systemd is silent", async () => {
  const { machine, program } = node();
  program('systemctl', '[ "$*" = "is-active ecs.service" ] && echo failed; exit 3');
  expect(await machine.readUnitState('ecs.service', patient)).toBe('failed');
  program('systemctl', 'echo "Failed to connect to bus: No such file" >&2; exit 1');
  await expect(machine.readUnitState('ecs.service', patient)).rejects.toThrow(Unavailable);
});

test('never passes an invalid unit name to systemctl', async () => {
  const { machine } = node();
  for (const unit of ['--force', 'a b', '', '-x', 'a;b']) {
    await expect(machine.restartUnit(unit, patient), unit).rejects.toThrow(TypeError);
  }
});

test('powers off through systemd, and without it when it does not answer', async () => {
  const { machine, program, root, read } = node();
  program('systemctl', `echo "$@" >> ${root}/asked; [ "$1" = --force ]`);
  await machine.powerOff(someConfirmed, patient);
  expect(read('asked')).toBe('--no-block poweroff\n--force poweroff\n');
});

test('never powers off or restarts the machine when it works under another root', async () => {
  const { machine } = node();
  await expect(machine.powerOff(someConfirmed, patient)).rejects.toThrow(/there is no program .*usr\/bin\/systemctl/);
  await expect(machine.restartUnit('ecs', patient)).rejects.toThrow(/there is no program/);
});

test('notifies systemd with the assignments, and only when systemd listens', async () => {
  const { machine, program, root, read } = node({ NOTIFY_SOCKET: '/run/systemd/notify' });
  program('systemd-notify', `echo "$NOTIFY_SOCKET $@" >> ${root}/told`);
  await machine.notify(['READY=1', 'STATUS=all is well']);
  expect(read('told')).toBe('/run/systemd/notify -- READY=1 STATUS=all is well\n');
  await openMachine(root, {}).notify(['READY=1']);
  expect(read('told').split('\n')).toHaveLength(2);
});

test('no text adds an assignment to a notification, or makes it too long for systemd', async () => {
  const { machine, program, root, read } = node({ NOTIFY_SOCKET: '/run/systemd/notify' });
  program('systemd-notify', `printf "[%s]\\n" "$@" >> ${root}/told`);
  await machine.notify(['WATCHDOG=1', 'STATUS=joining: other\nMAINPID=1\u0000\u2028WATCHDOG=trigger']);
  expect(read('told')).toBe(
    String.raw`[--]
[WATCHDOG=1]
[STATUS=joining: other\nMAINPID=1\u0000\u2028WATCHDOG=trigger]
`,
  );
  await machine.notify(['WATCHDOG=1', `STATUS=${'€'.repeat(5_000)}`]);
  expect(Buffer.byteLength(read('told').split('\n').at(-2)!)).toBeLessThan(4_000);
});

test('continues without systemd-notify or a console', async () => {
  const { machine } = node({ NOTIFY_SOCKET: '/run/systemd/notify' });
  await machine.notify(['READY=1']);
  await machine.say('nobody looks');
  expect(await machine.list('/dev')).toEqual([]);
});

test('writes one line to the console, without control characters', async () => {
  const { machine, root, read } = node();
  writeFileSync(join(root, 'dev/console'), '');
  await machine.say('failed: \u001b[2J\nroot login:');
  expect(read('dev/console')).toBe('failed: \\u001b[2J root login:\r\n');
});

test('returns the status of a probe without waiting for its body', async () => {
  const { machine } = node();
  const { url } = await serve((_, response) => {
    response.writeHead(302, { location: '/elsewhere' }).write('never ends');
    return undefined;
  });
  expect(await machine.probe(url, patient)).toBe(302);
  await expect(machine.probe(nowhere, patient)).rejects.toThrow(Unavailable);
});

test('unpacks below its own state, and runs the unpacked program', async () => {
  const { create } = await import('tar');
  const { machine, root } = node();
  mkdirSync(join(root, 'source'));
  writeFileSync(join(root, 'source/boot'), '#!/bin/sh\npwd; echo $0\n', { mode: 0o755 });
  const archive = create({ gzip: true, sync: true, cwd: join(root, 'source') }, ['boot']).read();
  const { url } = await serve(() => ({ body: archive! }));
  const folder = await machine.unpack(`${url}/a.tgz`, patient);
  expect(folder).toMatch(/^\/var\/lib\/ecs-node\/tmp\/unpack-\w+$/);
  const { tail } = await machine.run({ file: `${folder}/boot`, args: [], environment: {}, folder }, patient);
  expect(tail).toBe(`${root}${folder}\n${root}${folder}/boot\n`);
  expect(await machine.remove(folder)).toBe(true);
});

test('reads the id of this boot, and another root may have its own', async () => {
  const { machine } = node();
  expect(await machine.readBootId()).toBe(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  await machine.writeText('/proc/sys/kernel/random/boot_id', 'another-boot\n');
  expect(await machine.readBootId()).toBe('another-boot');
});
