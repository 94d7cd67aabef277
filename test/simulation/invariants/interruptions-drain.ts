import { lasting, type Reason } from '../faults/causes.ts';
import { ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';

/** A call that went wrong may still be waited for, and a retry may pause. */
const clearedMs = 90_000;

/** The agent's first look at everything. */
const startMs = 40_000;

/** From seeing a notice to ECS's answer. */
const actMs = 4_000;

export const interruptionsDrain: Invariant = {
  name: 'interruptions drain',
  sentence: 'A noticed interruption reaches DRAINING within a poll and two seconds while AWS answers.',
  afterEvent(region, node) {
    const now = region.clock.uptime();
    const status = ownInstance(region, node)?.status;
    if (status !== 'DRAINING') node.truth.drainingSince = undefined;
    else node.truth.drainingSince ??= now;
    if (status !== 'ACTIVE' || !isAble(node, now)) return undefined;
    for (const reason of ['spot', 'scale-in', 'operator', 'retirement'] as const) {
      const ms = lasting(node, reason, now);
      if (ms === undefined || !isAble(node, now - letGoMs(region, reason))) continue;
      const limit = boundMs(region, reason) + letGoMs(region, reason);
      if (ms > limit)
        return `${reason} ${Math.round(ms / 1000)} s ago, and still ACTIVE (bound ${Math.round(limit / 1000)} s)`;
    }
    return undefined;
  },
};

/** It runs, has for a while, and nothing has gone wrong lately. */
function isAble(node: Node, now: number): boolean {
  const { truth } = node;
  if (node.agent === undefined || node.phase !== 'up' || node.localAgent === undefined || truth.overtaken) return false;
  const quietSince = Math.max(
    truth.faultAt + clearedMs,
    node.agentStartedAt + startMs,
    (truth.connectedSince ?? now) + startMs,
  );
  return now > quietSince;
}

/**
 * Load balancers let go first, where there is time for it; a departure that is resumed begins anew.
 */
function letGoMs({ scenario: { config } }: Region, reason: Reason): number {
  const { targetGroups, loadBalancers, deregistrationSeconds } = config.leave;
  if (reason === 'spot' || targetGroups.length + loadBalancers.length === 0) return 0;
  return (deregistrationSeconds + 60) * 1000;
}

function boundMs({ scenario }: Region, reason: Reason): number {
  const { config, slowness } = scenario;
  const poll = {
    spot: config.spot.pollSeconds,
    'scale-in': config.autoScaling.pollSeconds,
    operator: 2,
    retirement: config.maintenance.pollSeconds,
  };
  const seconds = poll[reason as keyof typeof poll];
  const lateMs = reason === 'scale-in' ? 3_000 : 0;
  return (seconds <= 2 ? seconds * slowness : seconds) * 1000 + lateMs + actMs + (slowness - 1) * 2_000;
}
