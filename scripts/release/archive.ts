// Packs a staged folder as .tar.xz, with the same bytes for the same contents.
import { execFile } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { promisify } from 'node:util';
import { create } from 'tar';

const run = promisify(execFile);

/** `names` are the files of `folder`, in the order in which they are packed. */
export async function packArchive(file: string, folder: string, names: string[], epochSeconds: number): Promise<void> {
  const plain = file.replace(/\.xz$/, '');
  // portable: without owner, access times and this machine's numbers.
  await create({ file: plain, cwd: folder, portable: true, mtime: new Date(epochSeconds * 1000) }, names);
  // One thread: with several, xz cuts the stream into blocks as it sees fit. -9 wins 2 % over -6
  // for twice the memory on a small node that unpacks it.
  await run('xz', ['-6', '--threads=1', '--force', plain]);
  if (file !== `${plain}.xz`) await rename(`${plain}.xz`, file);
}
