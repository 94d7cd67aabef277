/**
 * Counts records without a living agent. ECS keeps the record of an instance whose agent was
 * disconnected when the instance ended, and the old record of an agent that lost its state.
 */

import type { Config } from '../../config/config.ts';
import { Refused, messageOf } from '../../core/errors.ts';
import type { ClusterHealth, Host, RecordSummary } from '../../core/host.ts';
import { callOnce } from '../calls.ts';

/** ECS and EC2 describe 100 in one call. */
const perPage = 100;

/** Bounds the calls: 10 pages. Records beyond count as living. */
const maxAsked = 10 * perPage;

/**
 * Counts the dead records. Each is disconnected in ECS, and its EC2 instance does not run, has a
 * connected record, or is counted already. `isOwnDead`: the caller has another record of this node.
 * A role that may not ask EC2 counts none, so that no living node loses its queue position.
 */
export async function countDead(
  host: Host,
  cluster: string,
  arns: readonly string[],
  isOwnDead: boolean,
  signal: AbortSignal,
): Promise<number> {
  const living = new Set(isOwnDead ? [host.identity.instanceId] : []);
  let dead = 0;
  try {
    for (let start = 0; start < Math.min(arns.length, maxAsked); start += perPage) {
      const page = await findDead(host, cluster, arns.slice(start, start + perPage), living, signal);
      // In an outage, thousands of nodes ask. A page without a dead record saves the next ones.
      if (page === 0) break;
      dead += page;
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    host.log.warn('dead records not counted', { error: messageOf(error) });
    return 0;
  }
  return dead;
}

/** Adds the EC2 instances of the other records to `living`. */
async function findDead(
  host: Host,
  cluster: string,
  arns: readonly string[],
  living: Set<string>,
  signal: AbortSignal,
): Promise<number> {
  const records = await callOnce(host, signal, (callSignal) => host.cloud.readRecords(cluster, arns, callSignal));
  // EC2 does not know external instances (`mi-…`), so their absence in EC2 means nothing.
  const lost = records.filter(({ agentConnected, ec2InstanceId }) => !agentConnected && ec2InstanceId.startsWith('i-'));
  const isStale = ({ ec2InstanceId, replaced }: RecordSummary) => replaced || living.has(ec2InstanceId);
  const ids = [...new Set(lost.filter((record) => !isStale(record)).map(({ ec2InstanceId }) => ec2InstanceId))];
  const running =
    ids.length === 0 ? [] : await callOnce(host, signal, (callSignal) => host.cloud.readRunning(ids, callSignal));
  const places = running.filter((id) => !living.has(id));
  for (const id of places) living.add(id);
  return lost.length - places.length;
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
  const dead = await countDead(host, cluster, disconnectedArns, false, signal);
  return { registered: registered - dead, disconnected: disconnected - dead };
}

/** Fewer disconnected nodes than this are no outage, however small the cluster is. */
const minNodes = 2;

/**
 * Why the connection of the ECS agents says nothing about this node: much of the cluster is
 * disconnected. Undefined: that is not so.
 */
export async function readOutage(
  host: Host,
  { cluster, ecsAgent }: Config,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { registered, disconnected } = await readLivingHealth(host, cluster, signal);
  const isOutage = disconnected >= minNodes && disconnected > (ecsAgent.maxDisconnectedPercent / 100) * registered;
  return isOutage ? `${disconnected} of ${registered} nodes are disconnected: the fault is not this node's` : undefined;
}
