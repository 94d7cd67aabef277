/** Refuses to run a program as root, or to write to a folder, that another user can change. */

import { existsSync, lstatSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { geteuid } from 'node:process';
import { Refused } from '../../core/errors.ts';

/**
 * Throws Refused with the file or folder and the remedy. `top` and the folders above it are
 * trusted.
 */
export function mustBeRootOwned(file: string, top: string): void {
  // For a link, both the folders that lead to it and those that lead to its target count.
  for (const way of [`${realpath(dirname(file))}/.`, realpath(file)]) {
    for (const path of above(way, realpath(top))) {
      const fault = faultOf(lstatSync(path));
      if (fault !== undefined) throw unguarded(`${file} is not run as root`, path, fault);
    }
  }
}

/** As above, for a folder that root writes to. A folder that does not exist yet is made by root. */
export function mustBeRootOwnedFolder(folder: string, top: string): void {
  if (!existsSync(folder)) {
    if (dirname(folder) !== folder) mustBeRootOwnedFolder(dirname(folder), top);
    return;
  }
  for (const path of above(`${realpath(folder)}/.`, realpath(top))) {
    const fault = faultOf(lstatSync(path));
    if (fault !== undefined) throw unguarded(`nothing is written to ${folder}`, path, fault);
  }
}

function unguarded(what: string, path: string, fault: string): Refused {
  const remedy = 'chown root:root and chmod go-w mend it, also where an ACL is set';
  return new Refused(`${what}: ${path} ${fault}; ${remedy}`, { code: 'Unguarded' });
}

const realpath = realpathSync.native;

function above(path: string, top: string): string[] {
  const folder = dirname(path);
  if (path === top || folder === path) return [];
  return [...(path.endsWith('/.') ? [] : [path]), ...above(folder, top)];
}

/**
 * With a POSIX ACL the group bits are its mask: the maximum for any user or group in the ACL. A
 * group-writable file is therefore refused whatever the group is, and no ACL can silently add a
 * writer.
 */
function faultOf({ uid, gid, mode }: { uid: number; gid: number; mode: number }): string | undefined {
  if (uid !== 0 && uid !== geteuid?.()) return `belongs to user ${uid}`;
  if ((mode & 0o002) !== 0) return 'can be written by every user';
  if ((mode & 0o020) !== 0) return `can be written by group ${gid}, or by the users and groups of its ACL`;
  return undefined;
}
