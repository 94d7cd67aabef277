import { lasting, type Reason } from '../faults/causes.ts';
import { ownInstance, type Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';
import type { Invariant } from './invariant.ts';

/** The node may still wait for a failed call, and a retry may pause. */
const clearedMs = 90_000;

/** The time of the agent's first checks after its start. */
const startMs = 40_000;

/**
 * The node denied an event that EC2 left out, truly or not, or a false tag told it that a person
 * holds it. It asks about that event again only once a minute of checks has listed it.
 */
const deniedMs = 60_000;

/** A hold that the node has seen is over once no source has shown it for this long. */
const heldMs = 75_000;

/** The time from seeing a notice to ECS's answer. */
const actMs = 4_000;

export const interruptionsDrain: Invariant = {
  name: 'interruptions drain',
  sentence: 'While AWS answers, a node is DRAINING within a poll and two seconds after its interruption notice.',
  afterEvent(region, node) {
    const now = region.clock.uptime();
    const status = ownInstance(region, node)?.status;
    if (status !== 'DRAINING') node.truth.drainingSince = undefined;
    else node.truth.drainingSince ??= now;
    if (status !== 'ACTIVE' || !isAble(region, node, now)) return undefined;
    for (const reason of ['spot', 'scale-in', 'operator', 'retirement'] as const) {
      const ms = lasting(node, reason, now);
      const laterMs = letGoMs(region, reason) + askAgainMs(region, node, reason);
      const limit = boundMs(region, reason) + laterMs;
      // After a check that failed, the next one may be a whole poll away.
      if (ms === undefined || !isAble(region, node, now - limit)) continue;
      if (ms > limit)
        return `${reason} ${Math.round(ms / 1000)} s ago, and still ACTIVE (bound ${Math.round(limit / 1000)} s)`;
    }
    return undefined;
  },
};

/** True if the agent has run for a while without any recent fault. */
function isAble(region: Region, node: Node, now: number): boolean {
  return now > (ableSince(region, node, node.truth.faultAt) ?? Infinity);
}

/** Since when an agent runs, and the fault at `faultAt` is over; undefined if none runs. */
export function ableSince({ scenario, clock }: Region, node: Node, faultAt: number): number | undefined {
  const { truth } = node;
  // The departure looks for its record every two seconds, which a slow life stretches.
  const lookMs = scenario.slowness * 2_000;
  if (node.agent === undefined || node.phase !== 'up' || node.localAgent === undefined || truth.overtaken)
    return undefined;
  return Math.max(
    faultAt + clearedMs,
    node.agentStartedAt + startMs,
    (truth.connectedSince ?? clock.uptime()) + startMs + lookMs,
  );
}

/**
 * Returns the time for leaving the load balancers, which comes first if there is time. A resumed
 * departure starts again.
 */
function letGoMs({ scenario: { config } }: Region, reason: Reason): number {
  const { targetGroups, loadBalancers, deregistrationSeconds } = config.leave;
  if (reason === 'spot' || targetGroups.length + loadBalancers.length === 0) return 0;
  return (deregistrationSeconds + 60) * 1000;
}

/** Returns the time until the node asks again about a retirement that it did not follow before. */
export function askAgainMs({ scenario }: Region, { truth }: Node, reason: Reason): number {
  const cause = reason === 'retirement' ? truth.causes.get(reason) : undefined;
  if (cause === undefined) return 0;
  const pollMs = scenario.config.maintenance.pollSeconds * 1000;
  const isDenied = cause.endedBefore !== undefined || truth.denialLieAt >= cause.since;
  return (isDenied ? deniedMs + pollMs : 0) + (truth.wasHeld ? heldMs + pollMs : 0);
}

/** Returns the time from an order to the node's answer. */
export function boundMs({ scenario }: Region, reason: Reason): number {
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
