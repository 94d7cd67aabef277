/** Whether ECS has this node in its group's capacity provider. */

import { openCluster } from '../ecs/cluster.ts';
import { openGroup } from '../group.ts';
import type { Session } from '../session/session.ts';

export interface ProviderFacts {
  group: string;
  /** The cluster's capacity provider of that group. */
  provider: string | undefined;
  /** The one that ECS has this node in. */
  inside: string | undefined;
  tasks: number;
}

/**
 * Undefined when the instance is in no group, or ECS has no record of it. Throws Refused when the
 * role may not read them.
 */
export async function readProvider(
  session: Session,
  cluster: string,
  signal: AbortSignal,
): Promise<ProviderFacts | undefined> {
  const [groups, ecs] = [openGroup(session), openCluster(session)];
  try {
    const membership = await groups.readMembership(signal);
    const record = await ecs.readContainerInstance(cluster, undefined, signal);
    if (membership === undefined || record === undefined) return undefined;
    const { group } = membership;
    const { capacityProvider: inside, runningTasks, pendingTasks } = record;
    const provider = await ecs.readCapacityProvider(cluster, group, signal);
    return { group, provider, inside, tasks: runningTasks + pendingTasks };
  } finally {
    groups.destroy();
    ecs.destroy();
  }
}
