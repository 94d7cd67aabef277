/**
 * Runs this same program with other arguments and returns its output. The child's log goes to the
 * same place as the parent's.
 */

import { spawn } from 'node:child_process';
import { Unavailable, messageOf } from '../core/errors.ts';
import type { Environment } from './environment.ts';
import { runningFile } from './running-file.ts';
import { startChild } from './start-child.ts';

/** Far more than a configuration. */
const maxBytes = 4 * 1024 * 1024;

export interface Printed {
  /** The exit code, or -1 when a signal ended it. */
  code: number;
  text: string;
}

/** Throws `Unavailable` when it cannot be started. The signal kills it. */
export async function readChildOutput(
  file: string,
  args: readonly string[],
  environment: Environment,
  signal: AbortSignal,
): Promise<Printed> {
  signal.throwIfAborted();
  const child = startChild(file, () =>
    spawn(runningFile(file), args, { env: { ...environment }, stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  try {
    return await new Promise<Printed>((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      child.stdout.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxBytes) kill();
        else chunks.push(chunk);
      });
      child.on('error', (cause) => reject(new Unavailable(`cannot run ${file}: ${messageOf(cause)}`, { cause })));
      child.on('close', (code) => {
        if (signal.aborted) reject(signal.reason as Error);
        else resolve({ code: code ?? -1, text: Buffer.concat(chunks).toString() });
      });
    });
  } finally {
    signal.removeEventListener('abort', kill);
  }
}
