// Measures the CPU time of `ecs-node --version` beside a Node.js that does nothing, and the time
// until the first metadata request.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareRuns, median, readThreadsMs, renderSpread, timeRun } from './measure.ts';
import type { Part } from './part.ts';

const ROUNDS = 31;
const bare = 'bare node';

export const measureStartUp: Part = async ({ binary }) => {
  const commands = { [bare]: [process.execPath, '-e', '0'], 'ecs-node --version': [binary, '--version'] };
  const runs = await compareRuns(commands, ROUNDS);
  const first = await measureFirstRequests(binary);
  const floor = median(runs[bare]!.map(({ cpuMs }) => cpuMs));
  const rows = Object.entries({ ...runs, ...first }).map(([name, all]) => {
    const cpu = all.map(({ cpuMs }) => cpuMs);
    const wall = all.map(({ wallMs }) => wallMs);
    return [name, renderSpread(cpu), name === bare ? '' : (median(cpu) - floor).toFixed(0), renderSpread(wall)];
  });
  return { 'start-up': [['', 'CPU ms', 'more than bare node, ms', 'wall ms'], ...rows] };
};

type Moment = { cpuMs: number; wallMs: number };

/** Measures from the start of the process to the arrival of its first metadata request. */
async function measureFirstRequests(binary: string): Promise<Record<string, Moment[]>> {
  const folder = await mkdtemp(join(tmpdir(), 'ecs-node-'));
  const moments: Record<string, Moment[]> = {};
  try {
    await timeRun([binary, '--root', folder, 'configure', '--cluster', 'demo']);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const command of ['bootstrap', 'agent']) {
        const moment = await untilFirstRequest(binary, ['--root', folder, command]);
        (moments[`${command}, to its first metadata request`] ??= []).push(moment);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return moments;
}

/**
 * The request gets no answer, so the process has done no work beyond its start when it is killed.
 */
async function untilFirstRequest(binary: string, args: string[]): Promise<Moment> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const started = performance.now();
  const child = spawn(binary, args, {
    env: { PATH: '/usr/bin:/bin', AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint },
    stdio: 'ignore',
  });
  try {
    return await new Promise((resolve, reject) => {
      server.once('request', () => resolve({ cpuMs: readThreadsMs(child.pid!), wallMs: performance.now() - started }));
      child.once('exit', (code) =>
        reject(new Error(`ecs-node ${args.join(' ')} ended with ${code} and asked nothing`)),
      );
    });
  } finally {
    child.removeAllListeners('exit').kill('SIGKILL');
    server.closeAllConnections();
    server.close();
  }
}
