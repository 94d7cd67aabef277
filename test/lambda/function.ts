/**
 * A Lambda function on this machine: its zip unpacked, a process of its own, and the Runtime API
 * that feeds it.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unzipSync } from 'fflate';

export interface FunctionOptions {
  zip: Uint8Array;
  /** `lambda.serviceSize` */
  handler: string;
  /** Beside what Lambda itself sets. */
  environment: Readonly<Record<string, string>>;
}

export type Outcome =
  | { kind: 'response'; payload: unknown }
  | { kind: 'error'; errorType: string; errorMessage: string };

export interface LambdaFunction {
  /** One event after the other, as many as one likes: the process stays. */
  invoke(event: unknown, timeoutMs?: number): Promise<Outcome>;
  /** The function's output, line by line. */
  lines(): string[];
  close(): Promise<void>;
}

/** Longer than any test: the function is to end by itself, not by its deadline. */
const defaultTimeoutMs = 120_000;

export async function openFunction({ zip, handler, environment }: FunctionOptions): Promise<LambdaFunction> {
  const folder = await mkdtemp(join(tmpdir(), 'lambda-'));
  for (const [name, bytes] of Object.entries(unzipSync(zip))) await writeFile(join(folder, name), bytes);
  const api = await openRuntimeApi();
  const bootstrap = fileURLToPath(new URL('bootstrap.ts', import.meta.url));
  const child = spawn(process.execPath, [bootstrap], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      AWS_LAMBDA_RUNTIME_API: api.address,
      AWS_LAMBDA_FUNCTION_NAME: 'under-test',
      LAMBDA_TASK_ROOT: folder,
      _HANDLER: handler,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let written = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written += text));
  const ended = once(child, 'close');
  void ended.then(() => api.fail('the process has ended'));
  return {
    invoke: (event, timeoutMs = defaultTimeoutMs) => api.invoke(event, timeoutMs),
    // The text after the last line break is not whole yet.
    lines: () => written.split('\n').slice(0, -1),
    async close() {
      child.kill('SIGKILL');
      await ended;
      await api.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Pending {
  id: string;
  event: unknown;
  deadline: number;
  settle(outcome: Outcome): void;
}

/**
 * `next` waits until there is an event; `response` and `error` settle the one that was given out.
 */
async function openRuntimeApi() {
  const waiting: Pending[] = [];
  const given = new Map<string, Pending>();
  let idle: ServerResponse | undefined;
  let broken: Outcome | undefined;
  const hand = () => {
    if (idle === undefined || waiting.length === 0) return;
    const next = waiting.shift()!;
    given.set(next.id, next);
    idle.writeHead(200, {
      'content-type': 'application/json',
      'lambda-runtime-aws-request-id': next.id,
      'lambda-runtime-deadline-ms': String(next.deadline),
    });
    idle.end(JSON.stringify(next.event));
    idle = undefined;
  };
  const fail = (outcome: Outcome) => {
    broken ??= outcome;
    for (const each of [...waiting.splice(0), ...given.values()]) each.settle(outcome);
    given.clear();
  };
  const server = createServer((request, response) => void answer(request, response));
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const [kind, id = '', what] = request.url!.replace('/2018-06-01/runtime/', '').split('/');
    if (request.method === 'GET') {
      idle = response;
      return hand();
    }
    const body = JSON.parse(await readText(request)) as { errorType: string; errorMessage: string };
    response.writeHead(202).end('{"status":"OK"}');
    if (kind === 'init') return fail({ ...body, kind: 'error' });
    given.get(id)?.settle(what === 'response' ? { kind: 'response', payload: body } : { ...body, kind: 'error' });
    given.delete(id);
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let count = 0;
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    invoke: (event: unknown, timeoutMs: number) =>
      new Promise<Outcome>((settle) => {
        if (broken !== undefined) return settle(broken);
        waiting.push({ id: `request-${++count}`, event, deadline: Date.now() + timeoutMs, settle });
        hand();
      }),
    fail: (errorMessage: string) => fail({ kind: 'error', errorType: 'Runtime.ExitError', errorMessage }),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
  return text;
}

/** As EventBridge sends it for a rule with a schedule. */
export function scheduledEvent(rule: string): object {
  return {
    version: '0',
    id: '53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa',
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account: '123456789012',
    time: '2030-01-01T00:00:00Z',
    region: 'us-east-1',
    resources: [`arn:aws:events:us-east-1:123456789012:rule/${rule}`],
    detail: {},
  };
}
