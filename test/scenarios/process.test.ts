/**
 * The shipped binary as a process: what signals do to it, and which children it starts after an
 * update in place.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { until } from '../boot/rig/until.ts';

/** Node's debugger, wherever it is not told another port. */
const debuggerPort = 9229;

let folder: string;
let metadata: Server;
let address: string;
const running: ChildProcess[] = [];
/** A new one for each test: `bootstrap --cluster` writes a configuration into it. */
let root: string;
/** The metadata service takes each call, and answers when this opens. */
let gate: PromiseWithResolvers<void>;
let asked: number;

function answer(request: IncomingMessage, response: ServerResponse): void {
  if (request.method === 'PUT')
    return void response.writeHead(200, { 'x-aws-ec2-metadata-token-ttl-seconds': 60 }).end('t');
  if (request.url?.includes('instance-identity/document'))
    return void response.end(
      JSON.stringify({
        accountId: '123456789012',
        architecture: 'x86_64',
        availabilityZone: 'us-east-1a',
        imageId: 'ami-0123456789abcdef0',
        instanceId: 'i-0123456789abcdef0',
        instanceType: 't3.small',
        privateIp: '10.0.0.1',
        region: 'us-east-1',
      }),
    );
  const known = {
    partition: 'aws',
    'local-hostname': 'ip-10-0-0-1.ec2.internal',
    'instance-life-cycle': 'on-demand',
  };
  const found = Object.entries(known).find(([name]) => request.url?.endsWith(name));
  if (found === undefined) response.statusCode = 404;
  response.end(found?.[1]);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ecs-node-process-'));
  metadata = createServer((request, response) => {
    asked++;
    void gate.promise.then(() => answer(request, response));
  });
  await new Promise<void>((resolve) => metadata.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(metadata.address() as { port: number }).port}`;
});
afterAll(async () => {
  metadata.closeAllConnections();
  metadata.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  [asked, gate] = [0, Promise.withResolvers()];
  root = await mkdtemp(join(folder, 'root-'));
});
afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await once(child, 'close');
  }
});

function start(binary: string, ...words: string[]): ChildProcess & { said: () => string } {
  const child = spawn(binary, [...words, '--root', root], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: '/usr/bin:/bin', AWS_EC2_METADATA_SERVICE_ENDPOINT: address },
  });
  running.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return Object.assign(child, { said: () => said });
}

/** Its signal handlers are there: it waits for the metadata service. */
const hasBegun = () => until('the process asks the metadata service', () => asked > 0);

const opensDebugger = () =>
  new Promise<boolean>((resolve) => {
    const socket = connect(debuggerPort, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
  }).finally(() => undefined);

test.each(['agent', 'bootstrap --cluster prod'])(
  'SIGUSR1 opens no debugger in "%s", and does not end it',
  async (words) => {
    expect(await opensDebugger()).toBe(false);
    const child = start(inject('binary'), ...words.split(' '));
    await hasBegun();
    child.kill('SIGUSR1');
    await pause(500);
    expect([child.exitCode, child.signalCode, child.said().includes('Debugger listening')]).toEqual([
      null,
      null,
      false,
    ]);
    expect(await opensDebugger()).toBe(false);
  },
);

test('SIGUSR1 opens no debugger in a process that has only begun', async () => {
  for (const ms of [5, 10, 15, 20, 30, 40]) {
    const child = start(inject('binary'), 'agent');
    await pause(ms);
    child.kill('SIGUSR1');
    await pause(300);
    expect([ms, child.said().includes('Debugger listening'), await opensDebugger()]).toEqual([ms, false, false]);
    child.kill('SIGKILL');
  }
});

test('SIGTERM ends the agent with 143, so that systemd can tell it from a node that has left', async () => {
  const child = start(inject('binary'), 'agent');
  await hasBegun();
  child.kill('SIGTERM');
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code).toBe(143);
});

test.each([
  ['an update in place', async (fresh: string, binary: string) => rename(fresh, binary)],
  [
    'an update that keeps the old file',
    async (fresh: string, binary: string) => {
      await rename(binary, `${binary}.old`);
      await rename(fresh, binary);
    },
  ],
  ['its file was moved', async (_fresh: string, binary: string) => rename(binary, `${binary}.old`)],
])('after %s the old agent starts children of its own version', async (_what, update) => {
  const binary = join(folder, 'ecs-node');
  await copyFile(inject('binary'), binary);
  const child = start(binary, 'agent');
  await hasBegun();
  // The new version says that it was called.
  await writeFile(join(folder, 'new'), `#!/bin/sh\necho "$*" >>${join(folder, 'new-was-called')}\nexit 78\n`, {
    mode: 0o755,
  });
  await update(join(folder, 'new'), binary);
  gate.resolve();
  // It reads its configuration through a child, which says that there is none.
  await once(child, 'close');
  await expect(readFile(join(folder, 'new-was-called'), 'utf8')).rejects.toThrow('ENOENT');
  expect(child.said()).toContain('"path":"cluster"');
  expect(child.exitCode).toBe(78);
  expect(await readdir(folder)).not.toContain('core');
});
