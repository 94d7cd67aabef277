/**
 * A small release as "npm run release" makes them: archive, checksums, signature, and install.sh
 * with the key filled in.
 */

import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './tools.ts';

const repository = join(import.meta.dirname, '../../..');

/** Where nodes find it; the world serves the folder there. */
export const releaseUrl = 'http://127.0.0.1:8080';

/** The version of install.sh. The archive's own is in `unpacked`. */
const version = '1.0.0';

/** `unpacked` is made by layOutRelease. The key lives as long as this call. */
export async function makeRelease(folder: string, unpacked: string): Promise<void> {
  await mkdir(folder);
  const archive = `ecs-node-linux-${process.arch === 'arm64' ? 'arm64' : 'x86_64'}.tar.xz`;
  // -0: a test's archive needs to be small less than it needs to be soon.
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
