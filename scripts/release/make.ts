// Makes a release from binaries: archives, packages, Lambda functions, bill of materials,
// checksums, signature and install.sh.
import type { KeyObject } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture } from '../binary/node-binaries.ts';
import { packArchive } from './archive.ts';
import { packageFile, packRpm } from './rpm.ts';
import { stageRelease } from './stage.ts';
import { renderPublicKey, renderSums, signText } from './sums.ts';

export interface Release {
  /** Is told each step, of which the archives take a minute each. */
  tell?: (step: string) => void;
  /** The release's folder, and a folder for temporary files. */
  folder: string;
  work: string;
  version: string;
  epochSeconds: number;
  binaries: ReadonlyMap<Architecture, string>;
  completions: Readonly<Record<string, string>>;
  sbom: string;
  /** The zip with the Lambda functions. */
  lambdaZip: Uint8Array;
  /** The URL of the release, for install.sh. If it is empty, users pass --base-url. */
  baseUrl: string;
  /**
   * Without a key there is no signature and no install.sh, because install.sh installs only signed
   * releases.
   */
  signingKey?: KeyObject;
}

/** The names of the architectures: for install.sh, Packer and EC2, and for RPM. */
const NAMES = { x64: ['x86_64', 'x86_64'], arm64: ['arm64', 'aarch64'] } as const;

/** Returns the files made, sorted by name. */
export async function makeRelease(release: Release): Promise<string[]> {
  const { folder, version, epochSeconds, tell } = release;
  await mkdir(folder, { recursive: true });
  const made: string[] = [];
  for (const [architecture, binary] of release.binaries) {
    const [ours, rpms] = NAMES[architecture];
    const staged = join(release.work, `staged-${ours}`);
    const names = await stageRelease(staged, { binary, version, completions: release.completions }, epochSeconds);
    const archive = join(folder, `ecs-node-linux-${ours}.tar.xz`);
    tell?.(`packs ${archive}`);
    await packArchive(archive, staged, names, epochSeconds, architecture);
    const wanted = { version, architecture: rpms, epochSeconds };
    const rpm = join(folder, packageFile(wanted));
    tell?.(`packs ${rpm}`);
    await packRpm(rpm, staged, wanted);
    made.push(archive, rpm);
  }
  const sbom = join(folder, 'ecs-node.cdx.json');
  await writeFile(sbom, release.sbom);
  made.push(sbom);
  const functions = join(folder, 'ecs-node-lambda.zip');
  await writeFile(functions, release.lambdaZip);
  made.push(functions);

  const sums = join(folder, 'SHA256SUMS');
  const text = await renderSums(made.toSorted());
  await writeFile(sums, text);
  made.push(sums);
  if (release.signingKey !== undefined) {
    await writeFile(`${sums}.sig`, signText(text, release.signingKey));
    const script = join(folder, 'install.sh');
    await writeFile(script, await renderInstaller(release, release.signingKey), { mode: 0o755 });
    made.push(`${sums}.sig`, script);
  }
  return made.toSorted();
}

async function renderInstaller({ baseUrl, version }: Release, signingKey: KeyObject): Promise<string> {
  const script = await readFile(join('bootstrap', 'install.sh'), 'utf8');
  return script
    .replace('@BASE_URL@', () => baseUrl)
    .replace('@PUBLIC_KEY@', () => renderPublicKey(signingKey))
    .replace('@VERSION@', () => version);
}
