/**
 * Permissions that come and go: a policy is edited, a role is replaced, an organization denies a
 * service for some minutes. All nodes of a region have one role.
 */

import { deniable, deniableToo } from '../scenario.ts';
import { count, note, type Region } from '../world/region.ts';
import type { Chance } from './chance.ts';

const minute = 60_000;

export function withdrawPermissions(region: Region, chance: Chance | undefined): void {
  if (chance === undefined) return;
  // Most of these lives begin with it, while the nodes join.
  if (chance.happens(0.7)) region.clock.schedule(chance.between(0, minute), () => withdraw(region, chance));
  repeat(region, chance, chance.between(2, 8) * minute);
}

function repeat(region: Region, chance: Chance, everyMs: number): void {
  region.clock.schedule(chance.around(everyMs), () => {
    if (region.calm) return;
    withdraw(region, chance);
    repeat(region, chance, everyMs);
  });
}

function withdraw(region: Region, chance: Chance): void {
  const verbs = [...drawVerbs(chance)];
  const ms = chance.pick([5_000, minute, 3 * minute, 10 * minute]);
  region.faults.withdraw(verbs, ms);
  count(region.stats.faults, 'permissions withdrawn');
  note(region, undefined, `not allowed for ${ms / 1000} s: ${verbs.join()}`);
}

/** The calls of each life, which are drawn more often than the others. */
const frequent = ['completeHook', 'readMembership', 'heartbeat', 'drain', 'activate', 'terminateInGroup'];

/** One action, a few, or everything that the role may do. */
function drawVerbs(chance: Chance): Set<string> {
  const all = [...new Set([...deniable, ...deniableToo])];
  const many = chance.pick([1, 1, 2, 5, all.length]);
  if (many === all.length) return new Set(all);
  return new Set(Array.from({ length: many }, () => chance.pick(chance.happens(0.4) ? frequent : all)));
}
