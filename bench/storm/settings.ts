/**
 * What the nodes of a storm are told: the defaults, with the hooks of cloudformation/cluster.yaml.
 */

import { parseConfig, type Config } from '../../config/config.ts';
import { someOpsWorks } from '../../test/fakes/cloud/opsworks.ts';

export type Registrar = Config['registrar'];

export const registrars: readonly Registrar[] = ['none', 'ssm', 'opsworks'];

/** `more`: what an operator sets for a launch of hundreds. */
export function stormConfig(registrar: Registrar, more: Record<string, unknown> = {}): Config {
  const { stacks, layers } = someOpsWorks();
  return parseConfig({
    cluster: 'demo',
    registrar,
    ...(registrar === 'opsworks' && { opsworks: { stack: stacks[0]!.id, layer: layers[0]!.id } }),
    autoScaling: { launchHook: 'ecs-node-launch', terminateHook: 'ecs-node-terminate', launchHookSeconds: 1800 },
    // It is only told, and asking for it seldom leaves the simulation time for what matters.
    rebalance: { pollSeconds: 300 },
    maintenance: { pollSeconds: 600 },
    ...more,
  });
}

/** For a fleet that registers in OpsWorks at once: see docs/operations.md. */
export const patient = { hostname: '{cluster}-{shortId}', bootstrap: { timeoutSeconds: 7200 } };
