/** Whether a program can be changed by anybody but root (or by whoever we run as): what others can write must not run as us. */

import { lstatSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { getegid, geteuid } from 'node:process';
import { Refused } from '../core/errors.ts';

/** Throws Refused, naming what is to be mended. `top` is trusted: what lies above it is not looked at. */
export function mustBeGuarded(file: string, top: string): void {
  // The folders that lead to a link count as well as those that lead to what it stands for.
  for (const way of [`${realpath(dirname(file))}/.`, realpath(file)]) {
    for (const path of above(way, realpath(top))) {
      const fault = faultOf(lstatSync(path));
      if (fault === undefined) continue;
      throw new Refused(`${file} is not run as root: ${path} ${fault}; chown root:root and chmod go-w mend it`, {
        code: 'Unguarded',
      });
    }
  }
}

const realpath = realpathSync.native;

function above(path: string, top: string): string[] {
  const folder = dirname(path);
  if (path === top || folder === path) return [];
  return [...(path.endsWith('/.') ? [] : [path]), ...above(folder, top)];
}

function faultOf({ uid, gid, mode }: { uid: number; gid: number; mode: number }): string | undefined {
  if (uid !== 0 && uid !== geteuid?.()) return `belongs to user ${uid}`;
  if ((mode & 0o002) !== 0) return 'can be written by everybody';
  if ((mode & 0o020) !== 0 && gid !== 0 && gid !== getegid?.()) return `can be written by group ${gid}`;
  return undefined;
}
