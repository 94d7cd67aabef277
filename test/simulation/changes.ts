/**
 * Changes of what a node is configured to do, and may do, during its life. A share of the seeds has
 * them. Each kind draws from a random stream of its own, so that all other seeds keep their lives.
 */

import { openChance, type Chance } from './faults/chance.ts';

/** Each kind is present only in some lives, with its own draws. */
export interface Changes {
  /** Permissions that come and go. */
  permissions: Chance | undefined;
  /** Chores, and containers that damage their files. */
  chores: Chance | undefined;
  /** A configuration that changes. */
  configuration: Chance | undefined;
}

/** The share of all seeds with changes. */
const share = 0.4;

/**
 * Gives another stream than those of the life. With this value the regressions of
 * simulation.test.ts, and the lives that found planted faults before, stay as they were.
 */
const salt = 0x28fd_3554;

export function openChanges(seed: number): Changes {
  const chance = openChance(seed ^ salt);
  const isChanging = chance.happens(share);
  const draw = (kind: number) => {
    const own = openChance((seed ^ salt) + kind);
    return isChanging && own.happens(0.5) ? own : undefined;
  };
  return { permissions: draw(1_000_003), chores: draw(2_000_003), configuration: draw(3_000_017) };
}
