/**
 * The limit for a node that ECS does not know, and which therefore has no record to queue with. An
 * ECS that is wrong about all nodes at once must not end them all at once.
 */

import { Unavailable } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { readServedTime } from '../../core/served-time.ts';
import { readHistory } from '../../upkeep/group-history.ts';
import { callOnce } from '../calls.ts';
import { readGroup, type KnownFacts } from '../known-facts.ts';

/**
 * A node may leave in one minute of these three hours. Its id chooses the minute, so nodes seldom
 * share one.
 */
const slots = 180;
const slotMs = 60_000;

/** If another node of the group ended within this time, it may be the first of many. */
const quietMs = 1_800_000;

export interface WithoutRecord {
  cluster: string;
  knownFacts?: KnownFacts;
  /** The interval of the checks, which may be longer than a minute. */
  everyMs: number;
}

/**
 * True in this node's own minute, when the cluster has other nodes and no other node of the group
 * ended recently. Where checks are rare, the next one after that minute counts. Throws when that is
 * unknown.
 */
export async function mayLeaveWithoutRecord(
  host: Host,
  { cluster, knownFacts = {}, everyMs }: WithoutRecord,
  signal: AbortSignal,
): Promise<boolean> {
  const { cloud, identity } = host;
  const { registered } = await callOnce(host, signal, (callSignal) => cloud.readClusterHealth(cluster, callSignal));
  if (registered === 0) throw new Unavailable('ECS reports no node in this cluster: that is no reason to end this one');
  // This machine's clock may be wrong, and would look at the terminations of another hour.
  const now = await readServedTime(host, signal);
  if (now === undefined) throw new Unavailable('the metadata service does not tell the time');
  if (slotsSince(now, identity.instanceId) >= everyMs / slotMs) return false;
  const group = await readGroup(host, knownFacts, signal);
  // Without a group, no other node would replace this one.
  if (group === undefined) return false;
  const activities = await readHistory(now - quietMs, (since) =>
    callOnce(host, signal, (callSignal) => cloud.readActivities(group, since, callSignal)),
  );
  return activities.every(({ kind, instanceId }) => kind !== 'terminate' || instanceId === identity.instanceId);
}

/** Minutes since this node's own minute began. */
function slotsSince(now: number, instanceId: string): number {
  return (Math.floor(now / slotMs) - slotOf(instanceId) + slots) % slots;
}

/** Spreads nodes evenly by the last digits of the id, which EC2 chooses at random. */
export function slotOf(instanceId: string): number {
  return Number.parseInt(instanceId.slice(-8), 16) % slots;
}
