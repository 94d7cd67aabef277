/** Raises the events of the command line on a running simulator. */

import type { Verbs } from '../verbs.ts';
import type { World } from '../world/state.ts';
import type { TimedEvent } from './words.ts';

interface Played {
  verbs: Verbs;
  world: World;
}

/** Nodes count by launch order, so node 1 stays node 1 when replacements arrive. */
export function nodeId({ world }: Pick<Played, 'world'>, node: number): string {
  const found = [...world.instances.values()].find(({ index }) => index === node - 1);
  if (!found) throw new Error(`there is no node ${node}`);
  return found.id;
}

export async function raise(
  { verbs, world }: Played,
  { name, value, node }: TimedEvent,
  cluster: string,
): Promise<void> {
  if (name === 'scale-in' || name === 'scale-out') {
    const group = [...world.groups.values()][0]!;
    return verbs.setDesiredCapacity(group.name, group.desired + (name === 'scale-in' ? -1 : 1));
  }
  const id = nodeId({ world }, node);
  const actions: Record<string, () => unknown> = {
    spot: () => verbs.noticeSpot(id, value === 'stop' || value === 'hibernate' ? value : 'terminate'),
    rebalance: () => verbs.recommendRebalance(id),
    maintenance: () => verbs.scheduleMaintenance(id, { code: value ?? 'instance-retirement' }),
    terminate: () => verbs.terminate(id),
    protect: () => verbs.protect(id),
    unprotect: () => verbs.protect(id, false),
    'ecs-agent': () => verbs.startEcsAgent(id, value ?? cluster),
    'stop-ecs-agent': () => verbs.stopEcsAgent(id),
    disconnect: () => verbs.disconnectEcsAgent(id),
    reconnect: () => verbs.disconnectEcsAgent(id, false),
    'target-state': () => verbs.setTargetState(id, value),
    'imds-down': () => verbs.setMetadata(id, { down: true }),
    'imds-up': () => verbs.setMetadata(id, { down: false }),
  };
  await actions[name]?.();
}
