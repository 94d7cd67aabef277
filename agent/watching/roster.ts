/** The list of watchers for this node. */

import type { Config } from '../../config/config.ts';
import type { Identity } from '../../core/identity.ts';
import type { Watcher } from './watcher.ts';
import { watchDocker } from '../watchers/docker.ts';
import { watchDisk } from '../watchers/disk.ts';
import { watchEcsAgent } from '../watchers/ecs-agent.ts';
import { watchLifecycle, type PoolMeaning } from '../watchers/lifecycle.ts';
import { watchMaintenance } from '../watchers/maintenance.ts';
import { operator } from '../watchers/operator.ts';
import { watchRebalance } from '../watchers/rebalance.ts';
import { watchSpot } from '../watchers/spot.ts';
import { watchTerminationProtection } from '../watchers/termination-protection.ts';
import type { KnownFacts } from '../known-facts.ts';

/**
 * EC2 never interrupts on-demand instances, so it never announces that. Every other value, or none,
 * gets the spot watchers.
 */
const onDemand = 'on-demand';

export function roster(
  config: Config,
  { purchase }: Pick<Identity, 'purchase'>,
  poolMeaning: () => PoolMeaning,
  knownFacts: KnownFacts = {},
): Watcher[] {
  const isSpot = purchase !== onDemand;
  return [
    ...(isSpot ? [watchSpot(config)] : []),
    watchLifecycle(config, poolMeaning, knownFacts),
    operator,
    ...(isSpot ? [watchRebalance(config)] : []),
    watchMaintenance(config),
    watchDisk(config, knownFacts),
    watchEcsAgent(config, knownFacts),
    watchDocker(config, knownFacts),
    ...(config.terminationProtection === 'clear' ? [watchTerminationProtection(config)] : []),
  ];
}
