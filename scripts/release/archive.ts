// Packs a staged folder as .tar.xz, with the same bytes for the same contents.
import { execFile } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { promisify } from 'node:util';
import { create } from 'tar';

const run = promisify(execFile);

/** `names` are the files of `folder`, in the order in which they are packed. */
export async function packArchive(file: string, folder: string, names: string[], epochSeconds: number): Promise<void> {
  const plain = file.replace(/\.xz$/, '');
  // portable: without owner, access times and device numbers.
  await create({ file: plain, cwd: folder, portable: true, mtime: new Date(epochSeconds * 1000) }, names);
  // One thread: with several, xz chooses the blocks, and the bytes differ. -9 saves 2 % over -6,
  // and a small node needs twice the memory to unpack it.
  await run('xz', ['-6', '--threads=1', '--force', plain]);
  if (file !== `${plain}.xz`) await rename(`${plain}.xz`, file);
}
