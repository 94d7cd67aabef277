import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { effectiveArgs } from '../../../commands/agent.ts';
import { openCommandContext } from '../../../commands/open-command-context.ts';
import { parseLine } from '../../../cli/parse-line.ts';
import { commandTable } from '../../../commands/table.ts';
import { UsageError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';
import { stopTimers } from '../host/stop-timers.ts';

stopTimers();

const password = 'canary-password';

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => log };

/** A metadata service that has a token, and knows of neither tags nor user data. */
async function openMetadataService(): Promise<string> {
  const server = createServer((request, response) => {
    response.statusCode = request.method === 'PUT' ? 200 : 404;
    response.end(request.method === 'PUT' ? 'token' : '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Runs these words on a node whose configuration holds a password. */
async function run(words: readonly string[], typed = ''): Promise<{ printed: string; end: unknown }> {
  const root = await mkdtemp(join(tmpdir(), 'ecs-node-effective-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, 'etc/ecs-node'), { recursive: true });
  const yaml = `cluster: demo\necs: {settings: {ECS_ENGINE_AUTH_DATA: ${password}}}\n`;
  await writeFile(join(root, 'etc/ecs-node/config.yaml'), yaml);
  let printed = '';
  const output = new Writable({
    write(chunk: Buffer, _, done) {
      printed += chunk.toString();
      done();
    },
  });
  const line = await parseLine(commandTable, [...words, '--root', root]);
  const context = openCommandContext(line, {
    environment: { AWS_EC2_METADATA_SERVICE_ENDPOINT: await openMetadataService() },
    folder: '/',
    self: { file: '/no/such/program', args: [] },
    openInput: () => new PassThrough().end(typed),
    output,
    log,
    logFlags: [],
    table: commandTable,
  });
  const command = await line.command!.load();
  const end = await command(context, line, new AbortController().signal).catch((error: unknown) => error);
  return { printed, end };
}

test('the agent reads the effective configuration with its passwords', async () => {
  const { printed, end } = await run(effectiveArgs);
  expect(end).toBe(0);
  expect(JSON.parse(printed)).toMatchObject({
    config: { cluster: 'demo', ecs: { settings: { ECS_ENGINE_AUTH_DATA: password } } },
    revision: expect.any(String) as string,
  });
});

test('a person who runs "ecs-node effective" sees no password, and the name of the command to use instead', async () => {
  const { printed, end } = await run(['effective']);
  expect(printed).toBe('');
  expect(end).toBeInstanceOf(UsageError);
  expect(String(end)).toMatch(/ecs-node check/);
});

test('"check -" checks the text that another program writes, and not the files of the node', async () => {
  const { printed, end } = await run(['check', '-'], 'cluster: typed\n');
  expect(end).toBe(0);
  expect(printed).toMatch(/^cluster: typed # from standard input:1$/m);
  expect(printed).not.toContain('demo');
  const wrong = await run(['check', '-'], 'cluster: a\n disk:\n');
  expect(String(wrong.end)).toContain('standard input:2: not YAML: the line is indented');
});

test('"configure" tells wrong words and wrong settings at once', async () => {
  const { end } = await run(['configure', '--set', 'metrics', '--set', 'disk.fullPercent=900', '--set', 'spot']);
  expect(end).toBeInstanceOf(UsageError);
  for (const part of ['"metrics": must be KEY=VALUE', '"spot": must be KEY=VALUE', 'disk.fullPercent: '])
    expect((end as UsageError).message).toContain(part);
});
