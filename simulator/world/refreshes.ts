/** Instance refreshes: each member of the group is terminated, with its hooks, and replaced. */

import { Refusal } from '../refusal.ts';
import { terminateMember } from './groups.ts';
import type { Group, Refresh, World } from './state.ts';

export function startRefresh(world: World, group: Group): Refresh {
  const before = world.refreshes.get(group.name) ?? [];
  if (before[0]?.status === 'InProgress') {
    throw new Refusal(
      'InstanceRefreshInProgress',
      'An Instance Refresh is already in progress and blocks the request.',
    );
  }
  const left = [...group.members.values()].filter(({ state }) => state === 'InService').map((each) => each.instanceId);
  const refresh: Refresh = {
    id: world.random.uuid(),
    startedAt: world.clock.now(),
    endedAt: undefined,
    status: 'InProgress',
    left,
    total: left.length,
  };
  world.refreshes.set(group.name, [refresh, ...before]);
  replaceNext(world, group, refresh);
  return refresh;
}

/** One at a time: the next waits until the replacement of the last is in service. */
function replaceNext(world: World, group: Group, refresh: Refresh): void {
  const [next] = refresh.left;
  if (next === undefined) {
    Object.assign(refresh, { status: 'Successful', endedAt: world.clock.now() });
    return;
  }
  terminateMember(world, next, false);
  const wait = () => {
    const serving = [...group.members.values()].filter(({ state }) => state === 'InService').length;
    if (group.members.has(next) || serving < group.desired) return void world.clock.after(everyMs, wait);
    refresh.left = refresh.left.slice(1);
    replaceNext(world, group, refresh);
  };
  wait();
}

const everyMs = 100;
