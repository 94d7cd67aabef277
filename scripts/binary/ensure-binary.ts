// Makes dist/ecs-node when something that goes into it has changed since it was made last.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundle, type Bundle } from './bundle.ts';
import { layOutParts } from './lay-out-parts.ts';
import { hostArchitecture, pinnedNodeVersion, PKG_HOME, provideNode, type Architecture } from './node-binaries.ts';
import { rehearse } from './rehearse.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAKERS = fileURLToPath(new URL('.', import.meta.url));
const WORK = join('dist', '.work');

export interface BuildTarget {
  output: string;
  architecture: Architecture;
  /** Without V8's code cache, whose bytes differ from build to build. */
  reproducible?: boolean;
}

export interface Built extends BuildTarget {
  output: string;
  made: boolean;
  bundleBytes: number;
}

interface Stamp {
  entry: string;
  architecture: Architecture;
  reproducible: boolean;
  bundleBytes: number;
  sources: string[];
  digest: string;
  /** Of the binary, so that one that was replaced by hand is made again. */
  modifiedMs: number;
}

/**
 * The path of an up-to-date binary for this machine: what the tests, `npm start` and the benchmarks
 * run.
 */
export async function ensureBinary(): Promise<string> {
  const [built] = await ensureBinaries([{ output: join('dist', 'ecs-node'), architecture: hostArchitecture() }]);
  return resolve(built!.output);
}

/**
 * Makes those that are missing or out of date, from one bundle. Paths are relative to the project,
 * its new working directory.
 */
export async function ensureBinaries(targets: BuildTarget[], entry = 'main.ts'): Promise<Built[]> {
  process.chdir(ROOT);
  let bundled: Bundle | undefined;
  const built: Built[] = [];
  for (const target of targets) {
    const known = await freshStamp(target, entry);
    if (!known) bundled ??= await bundle(entry, await constants());
    const stamp = known ?? (await make(target, entry, bundled!));
    built.push({ ...target, made: !known, bundleBytes: stamp.bundleBytes });
  }
  return built;
}

/** What a bundle is told about the commit that it is made from. */
export async function constants(): Promise<Record<string, string>> {
  const commit = await run('git', ['describe', '--always', '--dirty', '--abbrev=12', '--match='])
    .then(({ stdout }) => stdout.trim())
    .catch(() => '');
  return { __ECS_NODE_VERSION__: await packageVersion(), __ECS_NODE_COMMIT__: commit };
}

async function packageVersion(): Promise<string> {
  return (JSON.parse(await readFile('package.json', 'utf8')) as { version: string }).version;
}

async function make(target: BuildTarget, entry: string, { parts, sources }: Bundle): Promise<Stamp> {
  const { output, architecture, reproducible = false } = target;
  // Digested before the build: a source that changes meanwhile makes the binary out of date, not
  // the other way round.
  const digest = await digestOf(sources);
  // A code cache is made by running V8 and only holds for the architecture that made it.
  const caches = !reproducible && architecture === process.arch ? await rehearse(parts) : new Map<string, Buffer>();
  const { loader, assets } = await layOutParts(parts, caches);
  const name = createHash('sha256').update(loader).update(assets.code).digest('hex').slice(0, 16);
  const work = await workFolder(name, reproducible);
  const made = resolve(WORK, `ecs-node-${architecture}-${process.pid}`);
  await writeFile(join(work, 'loader.cjs'), loader);
  await writeFile(join(work, 'code'), assets.code);
  await writeFile(join(work, 'caches'), assets.caches);
  await provideNode(architecture);
  await runPkg([resolve(work), made, architecture, await pinnedNodeVersion()]);
  await chmod(made, 0o755);
  // Renamed, not written in place: a node of an earlier test may still be running the old one.
  await rename(made, output);
  const { mtimeMs: modifiedMs } = await stat(output);
  const stamp = {
    entry,
    architecture,
    reproducible,
    bundleBytes: assets.code.length,
    sources,
    digest,
    modifiedMs,
  };
  await writeFile(stampFile(target), JSON.stringify(stamp, undefined, 2));
  return stamp;
}

/**
 * The path of the loader becomes part of the binary: named by its content it is the same in every
 * build in this folder, and for a reproducible build in every folder and on every machine.
 */
async function workFolder(name: string, reproducible: boolean): Promise<string> {
  await mkdir(WORK, { recursive: true });
  const above = reproducible ? '/tmp/ecs-node-build' : WORK;
  await mkdir(above, { recursive: true, mode: 0o700 });
  // Another user's folder could have its files exchanged under the build.
  if ((await lstat(above)).uid !== process.getuid?.()) throw new Error(`${above} belongs to another user: remove it`);
  const work = join(above, name);
  await mkdir(work, { recursive: true });
  return work;
}

async function runPkg(args: string[]): Promise<void> {
  const script = join(MAKERS, 'run-pkg.ts');
  await run(process.execPath, [script, ...args], { env: { ...process.env, HOME: resolve(PKG_HOME) } });
}

async function freshStamp(target: BuildTarget, entry: string): Promise<Stamp | undefined> {
  try {
    const stamp = JSON.parse(await readFile(stampFile(target), 'utf8')) as Stamp;
    const same =
      stamp.entry === entry &&
      stamp.architecture === target.architecture &&
      stamp.reproducible === (target.reproducible ?? false) &&
      stamp.modifiedMs === (await stat(target.output)).mtimeMs &&
      stamp.digest === (await digestOf(stamp.sources));
    return same ? stamp : undefined;
  } catch {
    // No stamp, no binary or a source that is gone: each means "make it".
    return undefined;
  }
}

function stampFile({ output }: BuildTarget): string {
  return join(WORK, `${output.split('/').at(-1)}.json`);
}

/**
 * Of everything that decides the bytes. A file that is imported for the first time shows as a
 * change in its importer.
 */
async function digestOf(sources: string[]): Promise<string> {
  const makers = (await readdir(MAKERS)).toSorted().map((name) => join(MAKERS, name));
  const hash = createHash('sha256').update(await packageVersion());
  for (const file of ['package-lock.json', ...makers, ...sources])
    hash.update(`\0${file}\0`).update(await readFile(file));
  return hash.digest('hex');
}
