// Makes dist/ecs-node if one of its inputs has changed since the last build. Every build of a
// commit has the same bytes: the tests, the benchmark and the release use the same file.
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

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAKERS = fileURLToPath(new URL('.', import.meta.url));
const WORK = join('dist', '.work');
/** The path of the loader becomes part of the binary, so it is the same on every machine. */
const LOADERS = '/tmp/ecs-node-build';

export interface BuildTarget {
  output: string;
  architecture: Architecture;
}

export interface Built extends BuildTarget {
  made: boolean;
  bundleBytes: number;
}

interface Stamp {
  entry: string;
  architecture: Architecture;
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
  const [built] = await ensureBinaries([targetFor(hostArchitecture())]);
  return resolve(built!.output);
}

/** `dist/ecs-node` runs on this machine. */
export function targetFor(architecture: Architecture): BuildTarget {
  const suffix = architecture === hostArchitecture() ? '' : `-${architecture}`;
  return { output: join('dist', `ecs-node${suffix}`), architecture };
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
  const { output, architecture } = target;
  // Computes the digest before the build. A source that changes during the build then makes the
  // binary out of date, not falsely current.
  const digest = await digestOf(sources);
  const { loader, code } = await layOutParts(parts);
  await mkdir(WORK, { recursive: true });
  const work = await openFolder(createHash('sha256').update(loader).update(code).digest('hex').slice(0, 16));
  await place(join(work, 'loader.cjs'), loader);
  await place(join(work, 'code'), code);
  const made = resolve(WORK, `ecs-node-${architecture}-${process.pid}`);
  await provideNode(architecture);
  await runPkg([await providePackager(), work, made, architecture, await pinnedNodeVersion()]);
  await chmod(made, 0o755);
  // Renames the file instead of writing in place: a node of an earlier test may still run the old
  // binary.
  await rename(made, output);
  const { mtimeMs: modifiedMs } = await stat(output);
  const stamp = { entry, architecture, bundleBytes: code.length, sources, digest, modifiedMs };
  await writeFile(stampFile(target), JSON.stringify(stamp, undefined, 2));
  return stamp;
}

/** The content names the folder. */
async function openFolder(name: string): Promise<string> {
  await mkdir(LOADERS, { recursive: true, mode: 0o700 });
  // Another user could replace files in this folder during the build.
  if ((await lstat(LOADERS)).uid !== process.getuid?.())
    throw new Error(`${LOADERS} belongs to another user: remove it`);
  const work = join(LOADERS, name);
  await mkdir(work, { recursive: true });
  return work;
}

/** Another build of the same commit may be reading the file. */
async function place(file: string, content: string | Buffer): Promise<void> {
  const fresh = `${file}.${process.pid}`;
  await writeFile(fresh, content);
  await rename(fresh, file);
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
  const hash = createHash('sha256').update(JSON.stringify(await constants()));
  for (const file of ['package-lock.json', PACKAGER_LOCK, ...makers, ...sources])
    hash.update(`\0${file}\0`).update(await readFile(file));
  return hash.digest('hex');
}
