/**
 * AWS as it was some seconds ago: the knowledge of a replica that is behind, read through the same
 * fakes.
 */

import { openBalancerCloud, type FakeBalancer } from '../../fakes/cloud/balancers.ts';
import { openClusterCloud, type FakeCluster } from '../../fakes/cloud/cluster.ts';
import { openGroupCloud, type FakeGroup } from '../../fakes/cloud/group.ts';
import { openInstanceCloud } from '../../fakes/cloud/instance.ts';
import { openOpsWorksCloud, type FakeOpsWorks } from '../../fakes/cloud/opsworks.ts';
import type { Node } from './node.ts';
import type { Region } from './region.ts';

export interface Replicas {
  /** Records the present truth; called after each event. */
  record(): void;
  /** Returns the method as it would answer `behindMs` ago; undefined if no record is that old. */
  recall(node: string, verb: string, behindMs: number): ((...given: unknown[]) => unknown) | undefined;
}

interface View {
  at: number;
  cluster: FakeCluster;
  opsworks: FakeOpsWorks;
  nodes: Map<string, ReturnType<typeof copyNode>>;
}

/**
 * Changes within this time count as one, recorded at the time of the first. So no view is older
 * than its time says.
 */
const everyMs = 250;

export function openReplicas(region: Region, longestMs: number): Replicas {
  const { clock, fakeClock } = region;
  let views: View[] = [];
  let since = clock.uptime();
  return {
    record() {
      // Copies after the last of these changes, because copying costs much time.
      const next = clock.next();
      if (next - since < everyMs) return;
      // The newest view that is old enough is still needed.
      const needed = views.findLastIndex(({ at }) => at <= clock.uptime() - longestMs);
      views = [...views.slice(Math.max(0, needed)), copy(region, since)];
      since = next;
    },
    recall(id, verb, behindMs) {
      const view = views.findLast(({ at }) => at <= clock.uptime() - behindMs);
      const node = view?.nodes.get(id);
      if (view === undefined || node === undefined) return undefined;
      const verbs: Record<string, unknown> = {
        ...openInstanceCloud(node.instance, () => node.metadata),
        ...openGroupCloud(() => node.group, node.instance, fakeClock),
        ...openClusterCloud(view.cluster, id, fakeClock),
        ...openBalancerCloud(node.balancers, fakeClock),
        ...openOpsWorksCloud(view.opsworks, id, fakeClock),
      };
      return verbs[verb] as (...given: unknown[]) => unknown;
    },
  };
}

function copy({ cluster, scenario: { opsworks }, nodes, activities }: Region, at: number): View {
  // One copy for all nodes, because a group has one history. A node that is gone calls nothing.
  const history = [...activities];
  const living = nodes.filter(({ phase }) => phase !== 'gone');
  return {
    at,
    cluster: {
      ...cluster,
      instances: cluster.instances.map((each) => ({ ...each, attributes: new Map(each.attributes) })),
      tasks: cluster.tasks.filter(({ lastStatus }) => lastStatus !== 'STOPPED').map((each) => ({ ...each })),
    },
    opsworks: { ...opsworks, records: opsworks.records.map((each) => ({ ...each })) },
    nodes: new Map(living.map((node) => [node.id, copyNode(node, history)])),
  };
}

function copyNode({ instance, group, balancers, metadata }: Node, activities: FakeGroup['activities']) {
  return {
    instance: { ...instance },
    metadata: { spotNotice: metadata.spotNotice, maintenance: [...metadata.maintenance] },
    group: group && { ...group, activities },
    balancers: {
      targetGroups: copyBalancers(balancers.targetGroups),
      loadBalancers: copyBalancers(balancers.loadBalancers),
    },
  };
}

function copyBalancers(balancers: ReadonlyMap<string, FakeBalancer>): Map<string, FakeBalancer> {
  return new Map([...balancers].map(([name, balancer]) => [name, { ...balancer }]));
}
