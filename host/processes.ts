/**
 * Runs a program without a shell, without inherited environment, in its own process group. Only the
 * end of its output is kept.
 */

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { kill, umask } from 'node:process';
import { Refused } from '../core/errors.ts';
import type { ProcessCommand, Exit } from '../core/host.ts';
import { redact } from '../core/secrets.ts';
import { codeOf } from './files/error-code.ts';
import { explainStart, startChild } from './start-child.ts';

const tailBytes = 4096;

/** Between SIGTERM and SIGKILL: an installer may need to remove its lock file. */
const graceMs = 2_000;

/** After the program has ended. A daemon that it started may hold its output open for ever. */
const lingerMs = 100;

/**
 * Rejects with the signal's reason after the whole group was killed. Refused: the program does not
 * exist, or cannot run.
 */
export async function run(command: ProcessCommand, signal: AbortSignal): Promise<Exit> {
  signal.throwIfAborted();
  const { file } = command;
  const child = start(command);
  const tail = openTail();
  child.stdout.on('data', tail.add);
  child.stderr.on('data', tail.add);
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', (error) => reject(explain(error, file) as Error));
    child.on('exit', (code, by) => resolve(code ?? 128 + (by ? constants.signals[by] : 0)));
  });
  const group = child.pid;
  let killer: NodeJS.Timeout | undefined;
  const stop = () => {
    if (group === undefined) return;
    killGroup(group, 'SIGTERM');
    killer = setTimeout(() => killGroup(group, 'SIGKILL'), graceMs);
  };
  signal.addEventListener('abort', stop);
  try {
    const code = await ended;
    if (signal.aborted) {
      // The program itself is gone. Its children may have ignored SIGTERM.
      if (group !== undefined) killGroup(group, 'SIGKILL');
      throw signal.reason;
    }
    await Promise.race([once(child.stdout, child.stderr), pause(lingerMs)]);
    return { code, tail: redact(tail.read()) };
  } finally {
    clearTimeout(killer);
    signal.removeEventListener('abort', stop);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

function start({ file, args, environment, folder, umask: mask }: ProcessCommand) {
  const open = () =>
    spawn(file, args, {
      env: withoutZeros(environment),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(folder !== undefined && { cwd: folder }),
    });
  return startChild(file, () => withUmask(mask, open), explain);
}

/** No variable can hold a zero byte, and the output of another program may. */
function withoutZeros(environment: ProcessCommand['environment']): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, value.replaceAll('\0', ' ')]));
}

/**
 * The umask belongs to the process. `spawn` forks before it returns, so no other code of this
 * process runs in between.
 */
function withUmask<T>(mask: number | undefined, work: () => T): T {
  if (mask === undefined) return work();
  const before = umask(mask);
  try {
    return work();
  } finally {
    umask(before);
  }
}

function killGroup(group: number, by: 'SIGTERM' | 'SIGKILL'): void {
  try {
    kill(-group, by);
  } catch {
    // No process is left, or none that this process may end.
  }
}

function openTail() {
  let kept = Buffer.alloc(0);
  return {
    add(chunk: Buffer) {
      kept = Buffer.concat([kept, chunk]).subarray(-tailBytes);
    },
    read: () => kept.toString(),
  };
}

async function once(...streams: NodeJS.EventEmitter[]): Promise<void> {
  await Promise.all(streams.map((stream) => new Promise((resolve) => stream.once('close', resolve))));
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

function explain(error: unknown, file: string): unknown {
  const code = codeOf(error);
  const options = { cause: error, ...(code !== undefined && { code }) };
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new Refused(`there is no program ${file}, or no interpreter for it`, options);
  if (code === 'EACCES') return new Refused(`${file} may not be executed (its mode, or a noexec file system)`, options);
  if (code === 'ENOEXEC') return new Refused(`${file} is no program for this machine`, options);
  return explainStart(error, file);
}
