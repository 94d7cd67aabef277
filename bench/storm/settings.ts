/**
 * The configuration of the nodes of a storm: the defaults, with the hooks of
 * cloudformation/cluster.yaml.
 */

import { parseConfig, type Config } from '../../config/config.ts';
import { someOpsWorks } from '../../test/fakes/cloud/opsworks.ts';

export type Registrar = Config['registrar'];

export const registrars: readonly Registrar[] = ['none', 'ssm', 'opsworks'];

/** `more`: the settings that an operator adds for a launch of hundreds of nodes. */
export function stormConfig(registrar: Registrar, more: Record<string, unknown> = {}): Config {
  const { stacks, layers } = someOpsWorks();
  return parseConfig({
    cluster: 'demo',
    registrar,
    ...(registrar === 'opsworks' && { opsworks: { stack: stacks[0]!.id, layer: layers[0]!.id } }),
    autoScaling: { launchHook: 'ecs-node-launch', terminateHook: 'ecs-node-terminate', launchHookSeconds: 1800 },
    // No such notices come in a storm. Polling for them seldom leaves CPU time for the rest of the
    // simulation.
    rebalance: { pollSeconds: 300 },
    maintenance: { pollSeconds: 600 },
    ...more,
  });
}

/** The settings for a fleet that registers in OpsWorks at once: see docs/operations.md. */
export const patient = { hostname: '{cluster}-{shortId}', bootstrap: { timeoutSeconds: 7200 } };
