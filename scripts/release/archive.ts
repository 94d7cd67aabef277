// Packs a staged folder as .tar.xz, with the same bytes for the same contents.
import { execFile } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { promisify } from 'node:util';
import { create } from 'tar';

const run = promisify(execFile);

/** `names` are the files of `folder`, in the order of packing. */
export async function packArchive(file: string, folder: string, names: string[], epochSeconds: number): Promise<void> {
  const plain = file.replace(/\.xz$/, '');
  // portable: omits owner, access times and device numbers.
  await create({ file: plain, cwd: folder, portable: true, mtime: new Date(epochSeconds * 1000) }, names);
  // One thread: with several threads, xz chooses the blocks itself and the bytes differ. -9 saves 2
  // % over -6, but a small node would need twice the memory for unpacking.
  await run('xz', ['-6', '--threads=1', '--force', plain]);
  if (file !== `${plain}.xz`) await rename(`${plain}.xz`, file);
}
