/** One group may feed two clusters: looks for nodes that never joined in the other clusters. */

import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import type { FleetNodes } from '../../core/fleet/fleet-nodes.ts';
import type { SweepFacts } from './facts.ts';
import type { SweepFinding, SweepReport } from './findings.ts';
import { takeTurn } from './gather.ts';
import { maxNotesPerGroup } from './plan.ts';

/** A node costs a call for each other cluster. This covers all that one group can have noted. */
const nodesPerRun = maxNotesPerGroup;

const needs = 'ecs:ListClusters, and ecs:ListContainerInstances on every cluster';

/**
 * Takes the deed from each node that this run would terminate as never joined, unless ECS says that
 * no other cluster has it.
 */
export async function readOtherClusters(
  fleet: Pick<FleetNodes, 'readOtherClusterOf'>,
  { cluster, now }: Pick<SweepFacts, 'cluster' | 'now'>,
  found: readonly SweepFinding[],
  signal: AbortSignal,
): Promise<{ found: SweepFinding[]; unanswered: SweepReport['unanswered'] }> {
  const unanswered: SweepReport['unanswered'] = [];
  const ids = found.filter(isInQuestion).map(({ instanceId }) => instanceId);
  const turn = takeTurn(ids.toSorted(), now, nodesPerRun);
  const others = new Map<string, string | undefined>();
  let why = `one run looks for ${nodesPerRun} nodes in the other clusters: a later run looks for this one`;
  try {
    for (const id of turn) others.set(id, await fleet.readOtherClusterOf(cluster, id, signal));
  } catch (error) {
    signal.throwIfAborted();
    // Anything else is a bug in ecs-node.
    if (!(error instanceof Unavailable || error instanceof Refused)) throw error;
    // The next nodes would fail alike, each after a minute.
    unanswered.push({ what: 'other clusters', why: messageOf(error) });
    const remedy = error instanceof Refused ? ` (it needs ${needs})` : '';
    why = `another cluster may have it, and the sweep cannot read them${remedy}: ${messageOf(error)}`;
  }
  const judged = found.map((finding) => {
    if (!isInQuestion(finding)) return finding;
    const { deed: _, ...told } = finding;
    if (!others.has(finding.instanceId)) return { ...told, why };
    const other = others.get(finding.instanceId);
    return other === undefined ? finding : describeOther(told, other);
  });
  return { found: judged, unanswered };
}

const isInQuestion = ({ kind, deed }: SweepFinding) => kind === 'never-joined' && deed?.kind === 'terminate';

/** Another kind: the node is not ill, so it must not count as such. */
function describeOther(finding: SweepFinding, other: string): SweepFinding {
  const why = `it is registered in the cluster ${other}: set its tag ecs-node:cluster to ${other}, or name other groups`;
  return { ...finding, kind: 'in-another-cluster', why };
}
