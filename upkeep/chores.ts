/** What this node keeps up to date: only what is configured. */

import type { Config } from '../core/config.ts';
import type { Chore } from './chore.ts';

export function chores(_config: Config): Chore[] {
  return [];
}
