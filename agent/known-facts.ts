/**
 * What AWS has said to this node already: of thousands that are launched at once nobody may ask the
 * same again.
 */

import type { ContainerInstance, Host } from '../core/host.ts';
import { readGroupTag } from '../upkeep/group-tag.ts';
import { callOnce } from './calls.ts';

/** Of one agent, from its start to its end. */
export interface KnownFacts {
  /** What ECS said when the node was seen in service, and the uptime at which it was asked. */
  lastSeen?: { at: number; instance: ContainerInstance };
  /**
   * The name of its Auto Scaling group, which an instance changes so seldom that a restart of the
   * agent may learn of it.
   */
  group?: string | undefined;
  /** Uptime at which Auto Scaling was last asked for more time for the launch hook, and gave it. */
  heartbeatAt?: number;
  /** Uptime at which the first heartbeat was due: half of the hook's time was left. */
  firstHeartbeatDueAt?: number;
}

/** Undefined where the node is in no group. */
export async function readGroup(host: Host, knownFacts: KnownFacts, signal: AbortSignal): Promise<string | undefined> {
  knownFacts.group ??= await readGroupTag(host, signal);
  knownFacts.group ??= (await callOnce(host, signal, (callSignal) => host.cloud.readMembership(callSignal)))?.group;
  return knownFacts.group;
}
