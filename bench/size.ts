// Measures the size of the binary, and of the archive that users download.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { packArchive } from '../scripts/release/archive.ts';
import { hostArchitecture } from '../scripts/binary/node-binaries.ts';
import type { Part } from './part.ts';

export const measureSize: Part = async ({ binary }) => {
  const folder = await mkdtemp(join(tmpdir(), 'ecs-node-'));
  try {
    const archive = join(folder, 'ecs-node.tar.xz');
    await packArchive(archive, dirname(binary), [basename(binary)], 0, hostArchitecture());
    return {
      size: [
        ['', 'MB', 'archive, MB'],
        ['ecs-node', megabytes((await stat(binary)).size), megabytes((await stat(archive)).size)],
        ['target', '', '≤ 26'],
      ],
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
