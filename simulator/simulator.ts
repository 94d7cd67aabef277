/**
 * A local AWS for one node or for thousands. Start it, launch instances, pass their processes the
 * environment, and watch their calls.
 */

import { openCallLog, type CallLog } from './calls.ts';
import { openRealClock } from './clock.ts';
import { openFaults, type Faults } from './faults.ts';
import { openKeyring } from './iam/keyring.ts';
import { openMachines } from './machines.ts';
import { openIdentityKeys } from './metadata/identity.ts';
import { openAddresses } from './node/switched-server.ts';
import type { SimulatorOptions } from './options.ts';
import { openRandom } from './random.ts';
import { listen, serve } from './server.ts';
import { mergeSettings } from './settings.ts';
import { openVerbs, type Verbs } from './verbs.ts';
import type { Gateway } from './wire/gateway.ts';
import { watchTargets } from './world/balancers.ts';
import { createCluster, watchMachines } from './world/clusters.ts';
import { createGroup, watchInstances } from './world/groups.ts';
import { openWorld } from './world/open.ts';
import { createStack, watchAgents } from './world/opsworks.ts';
import { watchTasks } from './world/scheduler.ts';
import type { World } from './world/state.ts';
import { putParameter, watchManaged } from './world/systems-manager.ts';

export interface Simulator {
  /** The endpoint of all AWS services. */
  readonly endpoint: string;
  readonly region: string;
  /** Read only; change the world through the verbs. */
  readonly world: World;
  readonly verbs: Verbs;
  readonly calls: CallLog;
  readonly faults: Faults;
  /** Throws while the instance is not running. */
  imdsEndpoint(instanceId: string): string;
  /** The address where the ECS agent's introspection will listen after the agent registers. */
  introspectionEndpoint(instanceId: string): string;
  /** The standard AWS variables for a process on that instance. */
  environmentFor(instanceId: string): Record<string, string>;
  /** The standard AWS variables for an operator, with static credentials. */
  operatorEnvironment(): Record<string, string>;
  close(): Promise<void>;
}

export type {
  GroupOptions,
  HookOptions,
  ServiceOptions,
  SimulatorOptions,
  StackOptions,
  TaskOptions,
} from './options.ts';

/** The ids of the stack that exists by default. */
export const stackId = '11111111-1111-4111-8111-111111111111';
export const layerId = '22222222-2222-4222-8222-222222222222';

/** Credentials for operators and tests that are not on an instance. */
export const operatorCredentials = { accessKeyId: 'AKIDSIMULATOR', secretAccessKey: 'simulator-secret-key' };

export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { region = 'us-east-1', host = '127.0.0.1', port = 0, seed = 1 } = options;
  const realClock = openRealClock();
  const clock = options.clock ?? realClock;
  const random = openRandom(seed);
  const world = openWorld(region, clock, random, mergeSettings(options.settings));
  for (const watch of [watchInstances, watchMachines, watchManaged, watchAgents, watchTargets, watchTasks])
    watch(world);
  world.runCommand = options.onCommand;
  const faults = openFaults(openRandom(seed + 1), clock.now);
  const calls = openCallLog();
  const keyring = openKeyring(world, operatorCredentials);
  const keys = await openIdentityKeys();
  const { server, endpoint } = await listen(host, port);
  const addresses = openAddresses(process.pid);
  const machines = openMachines({ world, options, keyring, keys, faults, calls, addresses });
  const verbs = openVerbs(world, machines);
  const { imdsEndpoint, introspectionEndpoint } = machines;
  const environmentFor = (instanceId: string) => ({
    AWS_ENDPOINT_URL: endpoint,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: imdsEndpoint(instanceId),
    AWS_EC2_METADATA_V1_DISABLED: 'true',
  });
  const gate = { keyring, region, now: clock.now };
  const gateway: Gateway = { world, authContext: gate, keys, endpoint, choose: faults.choose, log: calls.add };
  const controlled = { world, verbs, faults, calls, environmentFor };
  serve(server, { gateway, publicKey: keys.publicKey, imdsEndpoint, controlled });
  populate(world, options);
  return {
    endpoint,
    region,
    world,
    verbs,
    calls,
    faults,
    imdsEndpoint,
    introspectionEndpoint,
    environmentFor,
    operatorEnvironment: () => ({
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: operatorCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: operatorCredentials.secretAccessKey,
    }),
    async close() {
      realClock.stop();
      machines.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Creates the groups, clusters and stacks of the options, before the first call. */
function populate(world: World, options: SimulatorOptions): void {
  const { clusters = ['demo'], groups = [{ name: 'ecs-nodes', max: 100 }] } = options;
  const { stacks = [{ id: stackId, name: 'demo', layers: [{ id: layerId, name: 'ECS', shortName: 'ecs' }] }] } =
    options;
  const parameters = {
    assets_download_bucket: 'opsworks-instance-assets-us-east-1.s3.amazonaws.com',
    agent_version: '4041',
  };
  for (const name of clusters) createCluster(world, name);
  for (const stack of stacks) createStack(world, stack, parameters);
  for (const group of groups) createGroup(world, group);
  const image = JSON.stringify({
    image_id: 'ami-0abcdef1234567890',
    os: 'Amazon Linux 2023',
    ecs_agent_version: '1.106.1',
  });
  const base = '/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended';
  putParameter(world, base, image);
  putParameter(world, `${base}/image_id`, 'ami-0abcdef1234567890');
}
