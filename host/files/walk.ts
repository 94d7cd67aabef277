/** Walks a path link by link, as the kernel does. */

import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { Refused } from '../../core/errors.ts';

/** The kernel follows no more links in one path (MAXSYMLINKS). */
const maxLinks = 40;

export interface Step {
  /** A folder, a link or the file, without a link on the way to it. */
  step: string;
  /** The rest of the path, seen from the step. */
  ahead: readonly string[];
  /** Undefined when nothing is there. */
  stats(): Stats | undefined;
}

/**
 * Each folder and link on the way to a file, and the file. Ends where one is missing. A step is
 * touched when the caller asks for its `stats`, or for the next step.
 */
export function* walk(path: string): Generator<Step> {
  const ahead = path.split('/');
  let links = 0;
  for (let here = '/', name = ahead.shift(); name !== undefined; name = ahead.shift()) {
    const step = join(here, name);
    let known: { stats: Stats | undefined } | undefined;
    const look = () => (known ??= { stats: lstatSync(step, { throwIfNoEntry: false }) }).stats;
    yield { step, ahead, stats: look };
    const stats = look();
    if (stats === undefined) return;
    if (!stats.isSymbolicLink()) {
      here = step;
      continue;
    }
    if (++links > maxLinks) throw new Refused(`${path}: too many links`, { code: 'ELOOP' });
    const target = readlinkSync(step);
    ahead.unshift(...target.split('/'));
    if (isAbsolute(target)) here = '/';
  }
}
