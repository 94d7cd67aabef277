/**
 * Runs a small program that may hang in the kernel, on a file system whose server is gone. Not even
 * SIGKILL ends such a program at once, so no caller waits for its end. After the time-out the
 * program is killed and abandoned, and the caller gets `Hangs`.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { Unavailable, messageOf } from '../core/errors.ts';
import type { Environment } from './environment.ts';
import { startChild } from './start-child.ts';

/** A line of `df` for each of some dozen paths, or an error message. The rest is not read. */
const maxCharacters = 256 * 1024;

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** The program has not ended within its time-out, and may never end. */
export class Hangs extends Unavailable {
  /** Resolves when the kernel releases the program. */
  readonly ended: Promise<void>;

  constructor(message: string, ended: Promise<void>) {
    super(message);
    this.ended = ended;
  }
}

/** A program that hangs stays in the kernel until its file system answers, with about 1 MB. */
export const maxHanging = 8;

/** Keeps a name in `hanging` until the kernel releases the program. */
export function keepWhileItHangs(hanging: Set<string>, name: string, { ended }: Hangs): void {
  hanging.add(name);
  void ended.then(() => hanging.delete(name));
}

/** Throws `Hangs` after `timeoutMs`, `Unavailable` when the program cannot be started. */
export async function runBounded(
  file: string,
  args: readonly string[],
  environment: Environment,
  timeoutMs: number,
): Promise<Ended> {
  const child = startChild(file, () =>
    spawn(file, args, { env: { ...environment }, stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return new Promise<Ended>((resolve, reject) => {
    const giveUp = () => {
      abandon(child);
      reject(new Hangs(`${file} has not answered within ${timeoutMs / 1000} s`, ended));
    };
    const timer = setTimeout(giveUp, timeoutMs);
    child.once('error', (cause) => {
      clearTimeout(timer);
      reject(new Unavailable(`cannot run ${file}: ${messageOf(cause)}`, { cause }));
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? -1, stdout: stdout(), stderr: stderr() });
    });
  });
}

/** Neither the process nor its pipes may keep this program from ending. */
function abandon(child: ChildProcess): void {
  child.kill('SIGKILL');
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.unref();
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    if (text.length < maxCharacters) text += chunk;
  });
  return () => text;
}
