// `npm run build`: makes the binaries and prints their sizes and the build time.
//
//   npm run build               dist/ecs-node for this machine, and one for the other architecture
//   npm run build -- --host     dist/ecs-node for this machine only
//   npm run build -- --lambda   only dist/ecs-node-lambda.zip, the Lambda functions
//
// Two builds of a commit have the same bytes, and `npm run release` packs the same files.
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureBinaries, targetFor } from './binary/ensure-binary.ts';
import { hostArchitecture } from './binary/node-binaries.ts';
import { compressedSize } from './compressed-size.ts';
import { makeLambdaZip } from './lambda/zip.ts';
import { renderTable } from './table.ts';
import { readOptions } from './read-options.ts';

const { values } = readOptions(import.meta.filename, {
  options: {
    host: { type: 'boolean', default: false },
    lambda: { type: 'boolean', default: false },
    /** Another entry than main.ts serves to measure the build itself. */
    entry: { type: 'string', default: 'main.ts' },
    /** Compressing at the highest level takes a minute of CPU time. */
    xz: { type: 'boolean', default: !process.argv.includes('--host') },
  },
  allowNegative: true,
});

if (values.lambda) {
  await buildLambda();
  process.exit(0);
}

const targets = (values.host ? [hostArchitecture()] : (['x64', 'arm64'] as const)).map(targetFor);

const start = performance.now();
const built = await ensureBinaries(targets, values.entry);
const seconds = ((performance.now() - start) / 1000).toFixed(1);

const rows = built.map(async ({ output, architecture, made, bundleBytes }) => [
  output,
  architecture,
  made ? 'made' : 'up to date',
  megabytes(bundleBytes),
  megabytes((await stat(output)).size),
  ...(values.xz ? [megabytes(await compressedSize(output))] : []),
]);
const head = ['file', 'for', '', 'bundle', 'size', ...(values.xz ? ['xz -9e'] : [])];
console.log(`${renderTable([head, ...(await Promise.all(rows))])}\n${seconds} s`);

async function buildLambda(): Promise<void> {
  const output = join('dist', 'ecs-node-lambda.zip');
  const { zip, bundleBytes } = await makeLambdaZip();
  await mkdir('dist', { recursive: true });
  await writeFile(output, zip);
  const row = [output, 'Lambda', 'made', megabytes(bundleBytes), megabytes(zip.length)];
  console.log(renderTable([['file', 'for', '', 'bundle', 'size'], row]));
}

function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? 'no xz here' : `${(bytes / 1e6).toFixed(2)} MB`;
}
