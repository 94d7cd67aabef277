// Measures the size of the binary, as a file and as a download.
import { stat } from 'node:fs/promises';
import { compressedSize } from '../scripts/compressed-size.ts';
import type { Part } from './part.ts';

export const measureSize: Part = async ({ binary }) => {
  const compressed = await compressedSize(binary);
  return {
    size: [
      ['', 'MB', 'xz -9e, MB'],
      [
        'ecs-node',
        megabytes((await stat(binary)).size),
        compressed === undefined ? 'no xz here' : megabytes(compressed),
      ],
      ['target', '≤ 120', '≤ 30'],
    ],
  };
};

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
