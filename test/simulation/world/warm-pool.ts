/** A node that waits in a warm pool, stopped or running, until its group needs it. */

import type { Conditions } from '../effects.ts';
import { boot, halt } from './machine-life.ts';
import type { Node } from './node.ts';
import { count, note, type Region } from './region.ts';

/**
 * From now on the group sends the node into the pool instead of into service, and fetches it some
 * minutes later.
 */
export function poolFirst(region: Region, conditions: Conditions, node: Node, pool: 'Stopped' | 'Running'): void {
  const { group } = node;
  if (group === undefined) return;
  node.pool = pool;
  count(region.stats.faults, `warm pool (${pool})`);
  let state = group.lifecycleState;
  Object.defineProperty(group, 'lifecycleState', {
    get: () => state,
    set(next: string) {
      const stays = node.pool !== undefined;
      state = stays && next === 'Pending:Wait' ? 'Warmed:Pending:Wait' : next;
      if (!stays || next !== 'InService') return;
      state = `Warmed:${pool}`;
      note(region, node, 'is in the warm pool', pool);
      region.clock.schedule(region.chance.between(1_000, 30_000), () => rest(region, conditions, node));
    },
  });
}

/**
 * Rests until the group fetches the node. A node that loses power at this moment stops after its
 * next boot.
 */
function rest(region: Region, conditions: Conditions, node: Node): void {
  const { chance, clock } = region;
  if (node.phase === 'gone' || node.phase === 'stopping') return;
  if (node.phase === 'booting') return void clock.schedule(10_000, () => rest(region, conditions, node));
  if (node.pool === 'Stopped') {
    note(region, node, 'is stopped in the warm pool');
    halt(region, node);
    node.phase = 'booting';
  }
  clock.schedule(chance.around(300_000), () => fetch(region, conditions, node));
}

function fetch(region: Region, conditions: Conditions, node: Node): void {
  const { group, pool } = node;
  if (node.phase === 'gone' || node.phase === 'stopping' || group?.lifecycleState !== `Warmed:${pool}`) return;
  node.pool = undefined;
  note(region, node, 'leaves the warm pool');
  group.begin('launch');
  if (pool === 'Stopped') boot(region, conditions, node);
}
