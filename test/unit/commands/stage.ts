/**
 * Runs a command of the program in this process, below a root of its own, beside a metadata service
 * that a test answers for.
 */

import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { onTestFinished } from 'vitest';
import type { Environment } from '../../../cli/command.ts';
import { openCommandContext } from '../../../commands/open-command-context.ts';
import { parseLine } from '../../../cli/parse-line.ts';
import { commandTable } from '../../../commands/table.ts';
import { openLog, type Entry } from '../../../core/log.ts';

/** The identity document that a metadata service answers, without an instance id. */
export const someDocument = {
  accountId: '123456789012',
  region: 'us-east-1',
  privateIp: '10.0.0.1',
  availabilityZone: 'us-east-1a',
  instanceType: 'm5.large',
  imageId: 'ami-1',
  architecture: 'x86_64',
};

/** By path below `latest/`; a path that is not there answers 404. */
export type Answers = Record<string, string>;

export async function openMetadataService(answers: Answers = {}): Promise<string> {
  const server = createServer((request, response) => {
    const answer = request.method === 'PUT' ? 'token' : answers[(request.url ?? '').replace('/latest/', '')];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(answer ?? '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export interface Stage {
  root: string;
  write(path: string, text: string): Promise<void>;
  read(path: string): Promise<string | undefined>;
  /** `end`: the exit code, or the error. */
  run(
    words: readonly string[],
    options?: { environment?: Environment; signal?: AbortSignal },
  ): Promise<{ printed: string; logged: Entry[]; end: unknown }>;
}

export async function openStage(): Promise<Stage> {
  const root = await mkdtemp(join(tmpdir(), 'ecs-node-command-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return {
    root,
    async write(path, text) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    },
    read: (path) => readFile(join(root, path), 'utf8').catch(() => undefined),
    async run(words, { environment = {}, signal = new AbortController().signal } = {}) {
      let printed = '';
      const output = new Writable({
        write(chunk: Buffer, _, done) {
          printed += chunk.toString();
          done();
        },
      });
      const logged: Entry[] = [];
      const line = await parseLine(commandTable, [...words, '--root', root]);
      const context = openCommandContext(line, {
        environment,
        folder: '/',
        self: { file: '/no/such/program', args: [] },
        openInput: () => new PassThrough(),
        output,
        log: openLog(
          (entry) => logged.push(entry),
          () => 0,
        ),
        logFlags: [],
        table: commandTable,
      });
      const command = await line.command!.load();
      const end = await command(context, line, signal).catch((error: unknown) => error);
      return { printed, logged, end };
    },
  };
}
