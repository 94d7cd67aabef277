/**
 * Counts records of machines that are gone: ECS keeps the record of an instance whose agent was
 * disconnected when the instance ended.
 */

import { Refused, messageOf } from '../../core/errors.ts';
import type { ClusterHealth, Host } from '../../core/host.ts';
import { callOnce } from '../calls.ts';

/**
 * DescribeContainerInstances accepts 100 ARNs in one call. More disconnected records than that are
 * an outage.
 */
const maxAsked = 100;

/**
 * Counts the dead records: disconnected in ECS, and without a running instance in EC2. A role that
 * may not ask EC2 counts none, so that no living node loses its queue position.
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
    // EC2 does not know external instances (`mi-…`), so their absence in EC2 means nothing.
    const lost = records.filter(
      ({ agentConnected, ec2InstanceId }) => !agentConnected && ec2InstanceId.startsWith('i-'),
    );
    if (lost.length === 0) return 0;
    const ids = lost.map(({ ec2InstanceId }) => ec2InstanceId);
    const running = await callOnce(host, signal, (callSignal) => host.cloud.readRunning(ids, callSignal));
    return ids.filter((id) => !running.includes(id)).length;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    host.log.warn('dead records not counted', { error: messageOf(error) });
    return 0;
  }
}

/**
 * The health of the cluster without dead records. Makes further calls only when some nodes are
 * disconnected.
 */
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
