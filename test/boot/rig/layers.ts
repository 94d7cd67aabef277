/**
 * The layers over the base: a stock image like Amazon's, and one with the binary, which
 * install-files.sh installed.
 */

import { execFile } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Layers {
  base: string;
  stock: string;
  baked: string;
  /** An unpacked release, with the files of the archives that Packer uploads. */
  release: string;
}

/** A machine that runs for seconds does not need these. */
const masked = [
  'apt-daily-upgrade.timer',
  'apt-daily.timer',
  'console-getty.service',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'systemd-logind.service',
];

/** These units are enabled on the ECS-optimized image. */
const enabled = ['docker.service', 'ecs.service'];

const repository = join(import.meta.dirname, '../../..');

/** Makes the layers below `folder`. */
export async function layOut(folder: string, base: string, binary: string): Promise<Layers> {
  const layers: Layers = {
    base,
    stock: join(folder, 'stock'),
    baked: join(folder, 'baked'),
    release: join(folder, 'release'),
  };
  await cp(join(import.meta.dirname, 'root'), layers.stock, { recursive: true, verbatimSymlinks: true });
  // The ECS agent's package makes it.
  await mkdir(join(layers.stock, 'var/lib/ecs/data'), { recursive: true });
  for (const name of ['docker', 'ecs']) await chmod(join(layers.stock, 'usr/local/lib/stand-ins', name), 0o755);
  await chooseUnits(join(layers.stock, 'etc/systemd/system'));
  await orderAsAmazonLinux(base, layers.stock);
  // Empty, as in an image after clean-image.sh: systemd makes a new id at the first boot.
  await writeFile(join(layers.stock, 'etc/machine-id'), '');
  await layOutRelease(layers.release, binary);
  await mkdir(layers.baked);
  await promisify(execFile)(join(layers.release, 'install-files.sh'), {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DESTDIR: layers.baked },
  });
  return layers;
}

async function chooseUnits(folder: string): Promise<void> {
  const wants = join(folder, 'multi-user.target.wants');
  await mkdir(wants, { recursive: true });
  for (const unit of masked) await symlink('/dev/null', join(folder, unit));
  for (const unit of enabled) await symlink(`/usr/lib/systemd/system/${unit}`, join(wants, unit));
}

/**
 * Debian orders cloud-init's last stage after multi-user.target, and Amazon Linux does not. With
 * Debian's order Amazon's own ecs.service would be part of a cycle.
 */
async function orderAsAmazonLinux(base: string, stock: string): Promise<void> {
  const unit = await readFile(join(base, 'lib/systemd/system/cloud-final.service'), 'utf8');
  const ordered = unit.replace(/^After=multi-user\.target\n/m, '');
  if (ordered === unit) throw new Error("Debian's cloud-final.service is no longer ordered after multi-user.target");
  await writeFile(join(stock, 'etc/systemd/system/cloud-final.service'), ordered);
}

export async function layOutRelease(folder: string, binary: string): Promise<void> {
  await mkdir(folder);
  await copyFile(binary, join(folder, 'ecs-node'));
  await chmod(join(folder, 'ecs-node'), 0o755);
  await copyFile(join(repository, 'bootstrap/install-files.sh'), join(folder, 'install-files.sh'));
  for (const name of ['LICENSE', 'config.schema.json']) await copyFile(join(repository, name), join(folder, name));
  await writeFile(join(folder, 'VERSION'), '1.0.0\n');
  await cp(join(repository, 'systemd'), join(folder, 'systemd'), { recursive: true });
}
