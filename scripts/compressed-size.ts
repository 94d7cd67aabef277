// Returns a file's size after xz's best compression; this takes a minute for a binary.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Returns `undefined` if xz is not installed or fails. */
export async function compressedSize(file: string): Promise<number | undefined> {
  const xz = spawn('xz', ['-9e', '--threads=1', '--stdout', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  let size = 0;
  xz.stdout.on('data', (chunk: Buffer) => (size += chunk.length));
  const [code] = await once(xz, 'close').catch(() => [1]);
  return code === 0 ? size : undefined;
}
