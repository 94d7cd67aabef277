/**
 * Asks a file system whether it answers, before this process touches it. A call that hangs in the
 * kernel would stop the process's only thread: it would miss a spot notice and SIGTERM.
 */

import { readFileSync } from 'node:fs';
import { join, normalize, resolve } from 'node:path';
import { Unavailable } from '../../core/errors.ts';
import { Hangs, keepWhileItHangs, maxHanging, runBounded } from '../bounded-child.ts';
import { codeOf } from './error-code.ts';
import { walk } from './walk.ts';

/** As for `df`: a slower network file system counts as gone. */
const answerTimeoutMs = 5_000;

/**
 * These need no server and no other program. Every other file system is asked (nfs4, cifs, fuse.*,
 * autofs, 9p, lustre, ceph …).
 */
const localTypes = new Set(
  `bcachefs bpf btrfs cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs erofs exfat ext2 ext3 ext4 f2fs
  hugetlbfs iso9660 mqueue nsfs overlay proc pstore ramfs rootfs securityfs squashfs sysfs tmpfs tracefs udf vfat xfs
  zfs`.split(/\s+/),
);

const mountinfo = '/proc/self/mountinfo';

/**
 * Throws Unavailable when the path leads onto a file system that does not answer. `root`: its own
 * `stat` and its own list of mounts take precedence.
 */
export function openMustAnswer(root: string): (path: string) => Promise<void> {
  // No environment that could change the program.
  const environment = { PATH: `${join(root, 'usr/bin')}:/usr/bin:/bin`, LC_ALL: 'C' };
  /** Mount points whose program still hangs. */
  const hanging = new Set<string>();
  const ask = async (path: string, mount: string, type: string, whole: string) => {
    const silent = `${path}: its file system (${type} at ${mount}) does not answer`;
    if (hanging.has(mount)) throw new Unavailable(silent);
    if (hanging.size >= maxHanging) throw new Unavailable(`${path}: ${hanging.size} file systems hang already`);
    try {
      // The mount point first: `statfs` is never answered from a cache. The whole path also mounts
      // what automount, or the server, has below it.
      await runBounded('stat', ['-f', '--format=', '--', mount, whole], environment, answerTimeoutMs);
    } catch (cause) {
      // A machine without the program goes on as if there was an answer.
      if (!(cause instanceof Hangs)) return;
      keepWhileItHangs(hanging, mount, cause);
      throw new Unavailable(silent, { cause });
    }
  };
  return async (path) => {
    const mounts = remoteMounts(readMounts(join(root, mountinfo)) ?? readMounts(mountinfo) ?? '');
    // Most nodes have none.
    if (mounts.size === 0) return;
    try {
      for (const { step, ahead } of walk(resolve(root, `.${normalize(path)}`))) {
        const type = mounts.get(step);
        // Touches the step only after this one.
        if (type !== undefined) await ask(path, step, type, [step, ...ahead].join('/'));
      }
    } catch (error) {
      // A file system that answers with an error does not hang. The caller gets the same error.
      if (codeOf(error) === undefined) throw error;
    }
  };
}

/**
 * The mount points whose file system may hang, with its type. Reading the list touches no file
 * system. Without `/`: a machine whose root hangs runs nothing.
 */
export function remoteMounts(list: string): Map<string, string> {
  const mounts = new Map<string, string>();
  for (const line of list.split('\n')) {
    // See proc_pid_mountinfo(5): any number of optional fields stands before the dash.
    const [before = '', after = ''] = line.split(' - ');
    const [escaped, type] = [before.split(' ')[4], after.split(' ')[0]];
    if (escaped === undefined || !type) continue;
    const path = escaped.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
    // The last file system that is mounted at a path hides the others.
    if (localTypes.has(type)) mounts.delete(path);
    else mounts.set(path, type);
  }
  mounts.delete('/');
  return mounts;
}

function readMounts(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
