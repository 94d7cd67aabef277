// `npm run release` makes the files that users download, in dist/release/, from the binaries that
// `npm run build` makes and the tests run. Two builds of a commit have the same bytes.
//
//   ECS_NODE_SIGNING_KEY=signing-key.pem npm run release [-- --base-url URL]    URL: the folder of
//                                            this release, https://example.com/ecs-node/1.2.3
//   npm run release -- --unsigned            archives and packages, for an image of your own
//   npm run release -- --architecture x64    one architecture only
//
// The key is a PEM file's path, or the PEM itself. Needs xz and rpmbuild (Debian and Amazon Linux:
// rpm-build or rpm).
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bundle } from './binary/bundle.ts';
import { ensureBinaries, ensureBinary, targetFor } from './binary/ensure-binary.ts';
import type { Architecture } from './binary/node-binaries.ts';
import { makeLambdaZip } from './lambda/zip.ts';
import { makeRelease } from './release/make.ts';
import { openProgress } from './progress.ts';
import { readSigningKey } from './release/sums.ts';
import { renderSbom, type Lockfile } from './release/sbom.ts';
import { readOptions } from './read-options.ts';

const run = promisify(execFile);
const OUT = join('dist', 'release');

const { values } = readOptions(import.meta.filename, {
  options: {
    unsigned: { type: 'boolean', default: false },
    'base-url': { type: 'string', default: '' },
    architecture: { type: 'string', multiple: true, default: ['x64', 'arm64'] },
  },
});
const architectures = values.architecture.map((name): Architecture => {
  if (name !== 'x64' && name !== 'arm64') fail(`unknown architecture ${name}; known are x64 and arm64`);
  return name;
});

// Checks the key first, because the rest takes minutes.
const given = process.env['ECS_NODE_SIGNING_KEY'] ?? '';
if (given === '' && !values.unsigned)
  fail(
    'no signing key: set ECS_NODE_SIGNING_KEY to a PEM file (openssl genrsa -out signing-key.pem 3072), or give --unsigned',
  );
const signingKey = values.unsigned
  ? undefined
  : await readSigningKey(given).catch((error: Error) => fail(error.message));
for (const [tool, remedy] of [
  ['xz', 'apt-get install xz-utils, dnf install xz'],
  ['rpmbuild', 'apt-get install rpm, dnf install rpm-build'],
] as const)
  await run(tool, ['--version']).catch(() => fail(`${tool} is missing: ${remedy}`));

const work = join('dist', '.work', 'release');
await mkdir(work, { recursive: true });
const built = await ensureBinaries(architectures.map(targetFor));
const binaries = new Map(built.map(({ architecture, output }) => [architecture, output]));

const lambda = await makeLambdaZip();
const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
const epochSeconds = await readEpoch();
await rm(OUT, { recursive: true, force: true });
const progress = openProgress({ name: 'release' });
const made = await makeRelease({
  tell: (step) => progress.at(step),
  folder: OUT,
  work,
  version,
  epochSeconds,
  binaries,
  completions: await renderCompletions(await ensureBinary()),
  sbom: await listMaterials(),
  lambdaZip: lambda.zip,
  baseUrl: values['base-url'],
  ...(signingKey === undefined ? {} : { signingKey }),
});
progress.clear();
console.log(made.join('\n'));

/** Returns the commit's time, so that a later build has the same bytes. */
async function readEpoch(): Promise<number> {
  const wanted = process.env['SOURCE_DATE_EPOCH'];
  if (wanted !== undefined) return Number(wanted);
  const { stdout } = await run('git', ['log', '-1', '--format=%ct']);
  return Number(stdout);
}

/** The program itself renders its completions, because it knows its commands. */
async function renderCompletions(binary: string): Promise<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const shell of ['bash', 'zsh', 'fish'])
    texts[`ecs-node.${shell}`] = (await run(binary, ['completion', shell])).stdout;
  return texts;
}

async function listMaterials(): Promise<string> {
  const { metafile } = await bundle('main.ts', {});
  const outputs = [metafile, lambda.metafile].flatMap((made) => Object.values(made.outputs));
  const sources = outputs.flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  );
  const lock = JSON.parse(await readFile('package-lock.json', 'utf8')) as Lockfile;
  return renderSbom({
    version,
    epochSeconds,
    sources,
    runtimes: architectures.map((architecture) => `node_modules/node-linux-${architecture}`),
    lock,
  });
}

function fail(problem: string): never {
  console.error(`npm run release: ${problem}`);
  process.exit(64);
}
