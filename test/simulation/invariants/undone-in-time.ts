import { reasons } from '../faults/causes.ts';
import { ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';

/** A real reason of the last hour may still keep the node out of service. */
const realMs = 3_600_000;

/** The time of the agent's first checks after its start. */
const startMs = 40_000;

export const undoneInTime: Invariant = {
  name: 'undone in time',
  sentence: 'The effects of a word that was taken back are undone within a minute, while AWS answers.',
  afterEvent(region, node) {
    const lie = node.truth.causes.get('lie');
    if (lie?.until === undefined || ownInstance(region, node)?.status !== 'DRAINING') return undefined;
    const { drainingSince, overtaken, forgetfulSince } = node.truth;
    const isEffect = drainingSince !== undefined && drainingSince >= lie.since && drainingSince <= lie.until + 5_000;
    if (!isEffect || overtaken || region.scenario.denied.length > 0) return undefined;
    // A full disk has not kept the departure, and the process that knew it was killed.
    if (forgetfulSince !== undefined && node.agentStartedAt > drainingSince) return undefined;
    // AWS never withdraws a recommendation, so only the timer of `rebalance.undoSeconds` ends it.
    if (node.truth.leavingFor?.cause === 'rebalance') return undefined;
    const now = region.clock.uptime();
    const ms = now - quietSince(node, lie.until, now);
    if (ms <= boundMs(region) || reasons(node, now, realMs).some((reason) => reason !== 'lie')) return undefined;
    return `DRAINING ${Math.round(ms / 1000)} s after the metadata service took its word back`;
  },
};

/** Since when nothing has kept the node from undoing it. */
function quietSince({ agent, phase, truth, agentStartedAt }: Node, until: number, now: number): number {
  if (agent === undefined || phase !== 'up') return now;
  return Math.max(until, truth.faultAt > until ? truth.faultAt + 60_000 : until, agentStartedAt + startMs);
}

/** The word must be gone for two polls. Short sleeps are longer in some lives. */
function boundMs({ scenario: { config, slowness } }: Region): number {
  const poll = Math.max(config.spot.pollSeconds, config.autoScaling.pollSeconds, config.rebalance.pollSeconds);
  return 60_000 + 2 * poll * (poll <= 2 ? slowness : 1) * 1000 + slowness * 4_000;
}
