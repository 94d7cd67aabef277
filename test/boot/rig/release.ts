/**
 * Makes a small release like "npm run release": archive, checksums, signature, and install.sh with
 * the key filled in.
 */

import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageFile, packRpm, type Package } from '../../../scripts/release/rpm.ts';
import { run } from './tools.ts';

const repository = join(import.meta.dirname, '../../..');

/** The world serves the folder at this URL. */
export const releaseUrl = 'http://127.0.0.1:8080';

/** The version of install.sh. The archive's own version is in `unpacked`. */
const version = '1.0.0';

/** layOutRelease makes `unpacked`. The key lives as long as this call. */
export async function makeRelease(folder: string, unpacked: string): Promise<void> {
  await mkdir(folder);
  const archive = `ecs-node-linux-${process.arch === 'arm64' ? 'arm64' : 'x86_64'}.tar.xz`;
  // -0: a test needs the archive soon rather than small.
  await run('tar', `--directory=${unpacked}`, '--use-compress-program=xz -0 -T2', '-cf', join(folder, archive), '.');
  const sha256 = createHash('sha256').update(await readFile(join(folder, archive)));
  const sums = `${sha256.digest('hex')}  ${archive}\n`;
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
  await writeFile(join(folder, 'SHA256SUMS'), sums);
  await writeFile(join(folder, 'SHA256SUMS.sig'), sign('sha256', Buffer.from(sums), privateKey));
  const script = await readFile(join(repository, 'bootstrap/install.sh'), 'utf8');
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString().trim();
  await writeFile(
    join(folder, 'install.sh'),
    script
      .replace('@BASE_URL@', () => releaseUrl)
      .replace('@PUBLIC_KEY@', () => pem)
      .replace('@VERSION@', () => version),
  );
}

const packed = (version: string): Package => ({
  version,
  architecture: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
  epochSeconds: 0,
  // The fastest compression, because a test needs the package soon rather than small.
  payload: 'w1.gzdio',
});

/** Two packages of the same program, with different versions. */
export const packages = { older: packageFile(packed('1.0.0')), newer: packageFile(packed('1.1.0')) };

export async function makePackages(folder: string, unpacked: string): Promise<void> {
  const pack = (version: string) => packRpm(join(folder, packageFile(packed(version))), unpacked, packed(version));
  await Promise.all(['1.0.0', '1.1.0'].map(pack));
}
