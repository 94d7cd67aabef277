// Makes dist/ecs-node if one of its inputs has changed since the last build.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundle, type Bundle } from './bundle.ts';
import { layOutParts } from './lay-out-parts.ts';
import { hostArchitecture, pinnedNodeVersion, PKG_HOME, provideNode, type Architecture } from './node-binaries.ts';
import { PACKAGER_LOCK, providePackager } from './packager.ts';
import { openProgress } from '../progress.ts';
import { rehearse } from './rehearse.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAKERS = fileURLToPath(new URL('.', import.meta.url));
const WORK = join('dist', '.work');

export interface BuildTarget {
  output: string;
  architecture: Architecture;
  /** Omits V8's code cache, whose bytes differ from build to build. */
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
  /** The time of the binary's last change: a binary that was replaced by hand is built again. */
  modifiedMs: number;
}

/**
 * Returns the path of an up-to-date binary for this machine. The tests, `npm start` and the
 * benchmarks run it.
 */
export async function ensureBinary(): Promise<string> {
  const [built] = await ensureBinaries([{ output: join('dist', 'ecs-node'), architecture: hostArchitecture() }]);
  return resolve(built!.output);
}

/**
 * Makes the missing and outdated binaries from one bundle. Paths are relative to the project, which
 * becomes the working directory.
 */
export async function ensureBinaries(targets: BuildTarget[], entry = 'main.ts'): Promise<Built[]> {
  process.chdir(ROOT);
  let bundled: Bundle | undefined;
  const built: Built[] = [];
  const progress = openProgress({ name: 'build' });
  for (const target of targets) {
    const known = await freshStamp(target, entry);
    if (!known) {
      progress.at('bundles the sources');
      bundled ??= await bundle(entry, await constants());
      progress.at(`makes ${target.output} for ${target.architecture}, ${built.length + 1} of ${targets.length}`);
    }
    const stamp = known ?? (await make(target, entry, bundled!));
    built.push({ ...target, made: !known, bundleBytes: stamp.bundleBytes });
  }
  progress.clear();
  return built;
}

/** Returns the build-time constants about the commit. */
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
  // Computes the digest before the build. A source that changes during the build then makes the
  // binary out of date, not falsely current.
  const digest = await digestOf(sources);
  // Only running V8 produces a code cache, and the cache is valid only for that architecture.
  const caches = !reproducible && architecture === process.arch ? await rehearse(parts) : new Map<string, Buffer>();
  const { loader, assets } = await layOutParts(parts, caches);
  const name = createHash('sha256').update(loader).update(assets.code).digest('hex').slice(0, 16);
  const work = await workFolder(name, reproducible);
  const made = resolve(WORK, `ecs-node-${architecture}-${process.pid}`);
  await writeFile(join(work, 'loader.cjs'), loader);
  await writeFile(join(work, 'code'), assets.code);
  await writeFile(join(work, 'caches'), assets.caches);
  await provideNode(architecture);
  await runPkg([await providePackager(), resolve(work), made, architecture, await pinnedNodeVersion()]);
  await chmod(made, 0o755);
  // Renames the file instead of writing in place: a node of an earlier test may still run the old
  // binary.
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
 * Makes the build's work folder. The path of the loader becomes part of the binary, so the content
 * names the folder: every build in this project then has the same path. A reproducible build has
 * the same path on every machine.
 */
async function workFolder(name: string, reproducible: boolean): Promise<string> {
  await mkdir(WORK, { recursive: true });
  const above = reproducible ? '/tmp/ecs-node-build' : WORK;
  await mkdir(above, { recursive: true, mode: 0o700 });
  // Another user could replace files in this folder during the build.
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
    // A missing stamp, binary or source each means that the binary must be built.
    return undefined;
  }
}

function stampFile({ output }: BuildTarget): string {
  return join(WORK, `${output.split('/').at(-1)}.json`);
}

/**
 * Digests everything that decides the bytes. A newly imported file shows as a change of its
 * importer.
 */
async function digestOf(sources: string[]): Promise<string> {
  const makers = (await readdir(MAKERS)).toSorted().map((name) => join(MAKERS, name));
  const hash = createHash('sha256').update(await packageVersion());
  for (const file of ['package-lock.json', PACKAGER_LOCK, ...makers, ...sources])
    hash.update(`\0${file}\0`).update(await readFile(file));
  return hash.digest('hex');
}
