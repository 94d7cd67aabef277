import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Refused } from '../../../core/errors.ts';
import { run } from '../../../host/processes.ts';
import { waitFor } from '../../../simulator/wait-for.ts';

const patient = new AbortController().signal;
const shell = (script: string, environment: Record<string, string> = { PATH: '/usr/bin:/bin' }) => ({
  file: '/bin/sh',
  args: ['-c', script],
  environment,
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'processes-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

test('a program gets nothing of our environment', async () => {
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'canary');
  onTestFinished(() => void vi.unstubAllEnvs());
  const { tail } = await run({ file: '/usr/bin/env', args: [], environment: { ONLY: 'this' } }, patient);
  expect(tail).toBe('ONLY=this\n');
});

test('arguments reach a program as data, never as a shell command', async () => {
  const { tail } = await run({ file: '/bin/echo', args: ['$(id)', '`id`', '; id'], environment: {} }, patient);
  expect(tail).toBe('$(id) `id` ; id\n');
});

test('reports how a program ended, and its last output', async () => {
  expect(await run(shell('echo out; echo err >&2; exit 7'), patient)).toEqual({ code: 7, tail: 'out\nerr\n' });
  expect((await run(shell('kill -9 $$'), patient)).code).toBe(137);
  const talkative = await run(shell('head -c 1000000 /dev/zero | tr "\\0" x; echo the end'), patient);
  expect(talkative.tail).toHaveLength(4096);
  expect(talkative.tail).toMatch(/^x+the end\n$/);
});

test('creates files with the given umask, and keeps our own', async () => {
  const before = process.umask();
  const at = folder();
  await run({ ...shell('echo key > private'), folder: at, umask: 0o077 }, patient);
  expect(statSync(join(at, 'private')).mode & 0o777).toBe(0o600);
  expect(process.umask()).toBe(before);
});

test.each([
  ['a child that does not listen', ''],
  ['nothing that listens', `trap '' TERM;`],
])('a program over its time is killed with all its children, also %s', async (_, deaf) => {
  const at = folder();
  const controller = new AbortController();
  const reason = new Error('too late');
  const stubborn = `${deaf} sh -c 'trap "" TERM; echo $$ > ${at}/child; sleep 600; sleep 600' & sleep 600`;
  const ended = run(shell(stubborn), controller.signal);
  const file = join(at, 'child');
  await waitFor('the child runs', () => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'));
  controller.abort(reason);
  await expect(ended).rejects.toBe(reason);
  const child = readFileSync(file, 'utf8').trim();
  await waitFor('the child has ended', () => !isRunning(child));
});

test('a daemon that a program leaves behind survives, and delays nothing', async () => {
  const at = folder();
  const { code } = await run(shell(`sleep 600 & echo $! > ${at}/daemon; echo started`), patient);
  expect(code).toBe(0);
  const daemon = readFileSync(join(at, 'daemon'), 'utf8').trim();
  expect(isRunning(daemon)).toBe(true);
  process.kill(Number(daemon));
});

test('a missing or invalid program is refused by its name', async () => {
  const at = folder();
  const file = join(at, 'program');
  const refusal = async () => await run({ file, args: [], environment: {} }, patient).catch((error: unknown) => error);
  expect(await refusal()).toMatchObject({ name: 'Refused', code: 'ENOENT', message: expect.stringContaining(file) });
  writeFileSync(file, '#!/bin/sh\n', { mode: 0o644 });
  expect(await refusal()).toMatchObject({ name: 'Refused', code: 'EACCES' });
  const below = run({ file: join(file, 'x'), args: [], environment: {} }, patient);
  await expect(below).rejects.toMatchObject({ name: 'Refused', code: 'ENOTDIR' });
});

// The reason of a departure held the output of a check, and no hook ran.
test('a zero byte in a variable does not keep a program from running', async () => {
  const reason = shell('printf %s "$REASON"', { PATH: '/usr/bin:/bin', REASON: 'a check said\0no' });
  expect(await run(reason, patient)).toEqual({ code: 0, tail: 'a check said no' });
});

test('starts nothing after the abort', async () => {
  const at = folder();
  const over = AbortSignal.abort(new Refused('over'));
  await expect(run(shell(`touch ${at}/started`), over)).rejects.toThrow('over');
  expect(existsSync(join(at, 'started'))).toBe(false);
});

function isRunning(pid: string): boolean {
  const state = execFileSync('sh', ['-c', `cut -d' ' -f3 /proc/${pid}/stat 2>/dev/null || true`])
    .toString()
    .trim();
  return state !== '' && state !== 'Z';
}
