/** Refuses to run a program as root, or to write to a folder, that another user can change. */

import { existsSync, realpathSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { geteuid } from 'node:process';
import { Refused } from '../../core/errors.ts';
import { walk } from './walk.ts';

/**
 * Throws Refused with the file, link or folder and the remedy. `top` and the folders above it are
 * trusted.
 */
export function mustBeRootOwned(file: string, top: string): void {
  refuseGuests(`${file} is not run as root`, file, top);
}

/** As above, for a folder that root writes to. A folder that does not exist yet is made by root. */
export function mustBeRootOwnedFolder(folder: string, top: string): void {
  if (!existsSync(folder)) {
    if (dirname(folder) !== folder) mustBeRootOwnedFolder(dirname(folder), top);
    return;
  }
  refuseGuests(`nothing is written to ${folder}`, folder, top);
}

function refuseGuests(what: string, path: string, top: string): void {
  const trusted = realpath(top);
  // Another user could replace any of them.
  for (const { step, stats } of walk(path)) {
    if (step === trusted || trusted.startsWith(join(step, '/'))) continue;
    const found = stats();
    // Only root can make it: the folders on the way to it were guarded.
    if (found === undefined) return;
    const fault = faultOf(found);
    if (fault !== undefined) throw unguarded(what, step, fault);
  }
}

function unguarded(what: string, path: string, fault: string): Refused {
  const remedy = 'chown root:root and chmod go-w mend it, also where an ACL is set';
  return new Refused(`${what}: ${path} ${fault}; ${remedy}`, { code: 'Unguarded' });
}

const realpath = realpathSync.native;

/**
 * With a POSIX ACL the group bits are its mask: the maximum for any user or group in the ACL. A
 * group-writable file is therefore refused whatever the group is, and no ACL can silently add a
 * writer.
 */
function faultOf(stats: Stats): string | undefined {
  const { uid, gid, mode } = stats;
  if (uid !== 0 && uid !== geteuid?.()) return `belongs to user ${uid}`;
  // A link has no mode of its own.
  if (stats.isSymbolicLink()) return undefined;
  if ((mode & 0o002) !== 0) return 'can be written by every user';
  if ((mode & 0o020) !== 0) return `can be written by group ${gid}, or by the users and groups of its ACL`;
  return undefined;
}
