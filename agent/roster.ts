/** Which questions are asked of this node. */

import type { Config } from '../core/config.ts';
import type { Watcher } from './watcher.ts';
import { watchDisk } from './watchers/disk.ts';
import { watchEcsAgent } from './watchers/ecs-agent.ts';
import { watchLifecycle } from './watchers/lifecycle.ts';
import { watchMaintenance } from './watchers/maintenance.ts';
import { operator } from './watchers/operator.ts';
import { watchRebalance } from './watchers/rebalance.ts';
import { watchSpot } from './watchers/spot.ts';
import { watchTerminationProtection } from './watchers/termination-protection.ts';

/** `joined`: whether the node has been in service for a while, or is on its way still, or in a warm pool. */
export function roster(config: Config, joined: () => boolean): Watcher[] {
  return [
    watchSpot(config),
    watchLifecycle(config, joined),
    operator,
    watchRebalance(config),
    watchMaintenance(config),
    watchDisk(config),
    watchEcsAgent(config),
    ...(config.terminationProtection === 'clear' ? [watchTerminationProtection(config)] : []),
  ];
}
