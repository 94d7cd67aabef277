import { paths } from '../../../../core/state/state.ts';
import type { Node } from '../../world/node.ts';
import type { Invariant } from '../invariant.ts';

/** Reading the configuration, and the pause of an agent at rest. */
const reloadMs = 90_000;

export const lastGoodCounts: Invariant = {
  name: 'the last good configuration counts',
  sentence:
    'An agent uses a valid configuration of its own node, never an older one than before, takes over a new one in time, and says that one is faulty.',
  afterCall(_region, { configuration }, { verb, args }) {
    if (configuration === undefined || verb !== 'writeText' || args[0] !== paths.lastGood) return undefined;
    configuration.mayGoBack = false;
    return undefined;
  },
  afterEvent(region, node) {
    const { configuration } = node;
    if (configuration === undefined) return undefined;
    if (configuration.fault !== undefined) return configuration.fault;
    const now = region.clock.uptime();
    // A departure comes first.
    if (node.truth.leavingSince !== undefined) configuration.leftAt = now;
    const { askedAt, leftAt, toldAt, isFaulty, newest, used } = configuration;
    if (now - Math.max(askedAt, leftAt) < reloadMs || !isReady(node, askedAt)) return undefined;
    if (isFaulty) return toldAt < askedAt ? 'no word about a faulty configuration' : undefined;
    return used === newest ? undefined : `uses version ${used}, although ${newest} was to be taken over`;
  },
};

/** True if nothing has hindered the agent, and no full disk hides a departure. */
function isReady({ agent, agentStartedAt, phase, truth }: Node, askedAt: number): boolean {
  const isUp = phase === 'up' && agent !== undefined && agent.asleep === undefined && agent.sleptMs === 0;
  return isUp && agentStartedAt < askedAt - reloadMs && truth.faultAt < askedAt && truth.forgetfulSince === undefined;
}
