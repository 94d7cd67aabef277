import { reasons } from '../faults/causes.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';
import { drainsToRegisterAnew } from './registers-anew-once.ts';

/**
 * A node can be slow between counting the cluster and draining; another node may have left
 * meanwhile.
 */
const stale = 1;

export const leaveQueueHolds: Invariant = {
  name: 'the leave queue holds',
  sentence:
    'At most the configured share of the cluster, and at least one node, may drain for a full disk at the same time.',
  onCall(region, node, { verb }) {
    if (verb === 'activate') node.truth.drainedForDisk = false;
    if (verb !== 'drain' || node.truth.drainedForDisk) return undefined;
    // It drains to enter its capacity provider, whatever its disk holds.
    if (drainsToRegisterAnew(node)) return undefined;
    if (reasons(node, region.clock.uptime(), 900_000).join() !== 'disk') return undefined;
    node.truth.drainedForDisk = true;
    const draining = region.nodes.filter(({ truth, phase }) => truth.drainedForDisk && phase !== 'gone').length;
    const limit = placesIn(region);
    return draining > limit ? `${draining} nodes drain for their disks, ${limit} may` : undefined;
  },
};

function placesIn({ scenario, cluster }: Region): number {
  const registered = cluster.instances.filter(({ status }) => status !== 'INACTIVE').length + stale;
  return Math.max(1, Math.floor((scenario.config.disk.maxLeavingPercent / 100) * registered));
}
