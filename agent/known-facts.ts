/**
 * Answers that AWS has already given to this node. Thousands of nodes may be launched together, so
 * none may ask twice.
 */

import { Refused } from '../core/errors.ts';
import type { ContainerInstance, Host } from '../core/host.ts';
import { readGroupTag, readMembership } from '../upkeep/group-tag.ts';
import { callOnce } from './calls.ts';

/** Lives as long as one agent. */
export interface KnownFacts {
  /**
   * The record that ECS returned when the node was seen in service, and the uptime of that call.
   */
  lastSeen?: { at: number; instance: ContainerInstance };
  /**
   * The entries in the leave queue that ECS showed when the ECS agent was last checked, without
   * those whose watcher has asked since.
   */
  shownEntries?: Set<string>;
  /**
   * The name of the node's Auto Scaling group. An instance changes its group so rarely that
   * learning it at the agent's next restart is enough.
   */
  group?: string | undefined;
  /** The node has not joined again after a reboot, and its watchers look after it all the same. */
  watchesUnjoined?: boolean;
  /** ECS has the node in service, and the node waits only for a join check that may not run. */
  waitsForCheck?: boolean;
  /** Auto Scaling took no heartbeat under the name that the tag shows, which may be wrong. */
  isTagDoubted?: boolean;
  /** Uptime at which the group's name was last forgotten. */
  groupDoubtedAt?: number;
  /** The name that was forgotten. It counts while Auto Scaling names none. */
  doubtedGroup?: string | undefined;
  /** The node registers anew, so its ECS agent is silent on purpose. */
  registersAnew?: boolean;
  /** Uptime of the last heartbeat for the launch hook that Auto Scaling accepted. */
  heartbeatAt?: number;
  /** Uptime at which the first heartbeat was due, with half of the hook's time left. */
  firstHeartbeatDueAt?: number;
}

/** Undefined where the node is in no group. */
export async function readGroup(host: Host, knownFacts: KnownFacts, signal: AbortSignal): Promise<string | undefined> {
  if (knownFacts.isTagDoubted !== true) knownFacts.group ??= await readGroupTag(host, signal);
  if (knownFacts.group !== undefined) return knownFacts.group;
  try {
    knownFacts.group = (await callOnce(host, signal, (callSignal) => readMembership(host, callSignal)))?.group;
    return knownFacts.group ?? knownFacts.doubtedGroup;
  } catch (error) {
    // A role that may not ask Auto Scaling has only the tag.
    const tagged = error instanceof Refused ? await readGroupTag(host, signal) : undefined;
    const last = tagged ?? knownFacts.doubtedGroup;
    if (last === undefined) throw error;
    return last;
  }
}

/** While heartbeats fail, one more call to Auto Scaling in this time. */
const doubtEveryMs = 60_000;

/**
 * Forgets the name, which may come from one wrong answer. From then on, Auto Scaling tells it, and
 * is asked again when it may have been wrong itself.
 */
export function doubtGroup(knownFacts: KnownFacts, uptime: number): void {
  if (uptime - (knownFacts.groupDoubtedAt ?? -Infinity) < doubtEveryMs) return;
  knownFacts.groupDoubtedAt = uptime;
  knownFacts.isTagDoubted = true;
  knownFacts.doubtedGroup = knownFacts.group ?? knownFacts.doubtedGroup;
  delete knownFacts.group;
}
