// Lays out the files of one archive in a folder, in the layout that install-files.sh expects.
import { chmod, copyFile, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface Contents {
  /** The binary for this archive's architecture. */
  binary: string;
  /** The version, because install.sh refuses an archive that is older than itself. */
  version: string;
  /** Rendered by the program itself: name → text. */
  completions: Readonly<Record<string, string>>;
}

/** The project's own files: path in the repository, path in the archive, mode. */
const FILES: readonly (readonly [from: string, to: string, mode: number])[] = [
  ['LICENSE', 'LICENSE', 0o644],
  ['THIRD_PARTY_LICENSES', 'THIRD_PARTY_LICENSES', 0o644],
  ['README.md', 'README.md', 0o644],
  ['config.schema.json', 'config.schema.json', 0o644],
  ['docs/man/ecs-node.8', 'man/ecs-node.8', 0o644],
  ['docs/man/ecs-node.yaml.5', 'man/ecs-node.yaml.5', 0o644],
  ['bootstrap/install-files.sh', 'install-files.sh', 0o755],
];

/**
 * All files get the same time and a fixed mode: the same contents give the same bytes. Returns the
 * files, sorted.
 */
export async function stageRelease(folder: string, contents: Contents, epochSeconds: number): Promise<string[]> {
  await rm(folder, { recursive: true, force: true });
  const units = (await readdir('systemd', { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const copies = [
    ...FILES,
    ...units.map((file) => [file, file, 0o644] as const),
    [contents.binary, 'ecs-node', 0o755] as const,
  ];
  for (const [from, to, mode] of copies) {
    const target = await openFolder(folder, to);
    await copyFile(from, target);
    await chmod(target, mode);
  }
  const completions = Object.entries(contents.completions).map(
    ([name, text]) => [`completions/${name}`, text] as const,
  );
  const made = [...completions, ['VERSION', `${contents.version}\n`] as const];
  for (const [to, text] of made) await writeFile(await openFolder(folder, to), text, { mode: 0o644 });

  const names = [...copies.map(([, to]) => to), ...made.map(([to]) => to)].toSorted();
  for (const name of names) await utimes(join(folder, name), epochSeconds, epochSeconds);
  return names;
}

async function openFolder(folder: string, name: string): Promise<string> {
  const target = join(folder, name);
  await mkdir(dirname(target), { recursive: true });
  return target;
}
