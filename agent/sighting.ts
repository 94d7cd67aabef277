/** What AWS has said to this node already: of thousands that are launched at once nobody may ask the same again. */

import type { ContainerInstance, Host } from '../core/host.ts';
import { readGroupTag } from '../upkeep/group-tag.ts';
import { askOnce } from './asking.ts';

/** Of one agent, from its start to its end. */
export interface Sighting {
  /** What ECS said when the node was seen in service, and the uptime at which it was asked. */
  seen?: { at: number; instance: ContainerInstance };
  /** The name of its Auto Scaling group, which an instance changes so seldom that a restart of the agent may learn of it. */
  group?: string | undefined;
  /** Uptime at which Auto Scaling was last asked for more time for the launch hook, and gave it. */
  beatenAt?: number;
  /** Uptime at which the first heartbeat was due: half of the hook's time was left. */
  firstDueAt?: number;
}

/** Undefined where the node is in no group. */
export async function readGroup(host: Host, sighting: Sighting, signal: AbortSignal): Promise<string | undefined> {
  sighting.group ??= await readGroupTag(host, signal);
  sighting.group ??= (await askOnce(host, signal, (inner) => host.cloud.readMembership(inner)))?.group;
  return sighting.group;
}
