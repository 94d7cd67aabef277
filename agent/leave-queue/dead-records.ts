/**
 * Records of machines that are gone: ECS keeps the record of an instance whose agent was
 * disconnected when it ended.
 */

import { Refused, messageOf } from '../../core/errors.ts';
import type { ClusterHealth, Host } from '../../core/host.ts';
import { callOnce } from '../calls.ts';

/** DescribeContainerInstances takes so many ARNs in one call; with more of them it is an outage. */
const maxAsked = 100;

/**
 * How many of these records are dead: disconnected in ECS, and without an instance that EC2 runs. A
 * role that may not ask EC2 counts none, so that no living node loses its place.
 */
export async function countDead(
  host: Host,
  cluster: string,
  arns: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  if (arns.length === 0 || arns.length > maxAsked) return 0;
  try {
    const records = await callOnce(host, signal, (callSignal) => host.cloud.readRecords(cluster, arns, callSignal));
    // EC2 knows no external instance (`mi-…`), so its silence about one says nothing.
    const lost = records.filter(
      ({ agentConnected, ec2InstanceId }) => !agentConnected && ec2InstanceId.startsWith('i-'),
    );
    if (lost.length === 0) return 0;
    const ids = lost.map(({ ec2InstanceId }) => ec2InstanceId);
    const running = await callOnce(host, signal, (callSignal) => host.cloud.readRunning(ids, callSignal));
    return ids.filter((id) => !running.includes(id)).length;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    host.log.warn('dead records not told from living ones', { error: messageOf(error) });
    return 0;
  }
}

/** The health of the living part of the cluster. Asks more only where some are disconnected. */
export async function readLivingHealth(
  host: Host,
  cluster: string,
  signal: AbortSignal,
): Promise<Pick<ClusterHealth, 'registered' | 'disconnected'>> {
  const health = await callOnce(host, signal, (callSignal) => host.cloud.readClusterHealth(cluster, callSignal));
  const { registered, disconnected, disconnectedArns } = health;
  const dead = disconnected > maxAsked ? 0 : await countDead(host, cluster, disconnectedArns, signal);
  return { registered: registered - dead, disconnected: disconnected - dead };
}
