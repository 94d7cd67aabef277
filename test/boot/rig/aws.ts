/**
 * The AWS behind one machine: the simulator at EC2's metadata address, and one Auto Scaling group
 * with the machine as its first member.
 */

import { startSimulator, type Simulator } from '../../../simulator/simulator.ts';
import type { Call } from '../../../simulator/calls.ts';
import type { SettingsPatch } from '../../../simulator/settings.ts';
import { isAlive } from '../../../simulator/world/instances.ts';
import type { Instance } from '../../../simulator/world/state.ts';

export interface AwsOptions {
  tags?: Record<string, string>;
  /** Default: `prod`. */
  clusters?: string[];
  /** The group has ecs-node-launch and ecs-node-terminate. */
  hooks?: boolean;
  spot?: boolean;
  /** Adds a stack `v2 prod web` with the layer `ecs`. */
  opsworks?: boolean;
  /** The desired count of a service in `prod`. */
  tasks?: number;
  /** `late`: refuses connections until openMetadata. */
  metadata?: 'late';
  /** `silent`: accepts every call and answers none until openEndpoint. */
  endpoint?: 'silent';
  /** How far AWS's clock is ahead of the machine's. */
  aheadMs?: number;
  settings?: SettingsPatch;
}

export interface Aws {
  simulator: Simulator;
  /** The calls to AWS, without those to metadata and introspection. */
  calls(): Call[];
  /** The clusters for which the ECS agent was started. */
  ecsStarts(): string[];
  /**
   * Returns false if the agent does not run: ECS does not have the cluster, or the agent has the
   * checkpoint of a container instance that was deregistered.
   */
  startEcsAgent(cluster: string, hasCheckpoint: boolean): boolean;
  stopEcsAgent(): void;
  containerInstance(cluster: string): SeenContainerInstance | undefined;
  /** Makes a capacity provider of the machine's group in this cluster. */
  createCapacityProvider(cluster: string, name: string): void;
  tags(): Record<string, string>;
  isProtected(): boolean;
  lifecycleState(): string | undefined;
  /** True if the group or EC2 is terminating the instance. */
  isDoomed(): boolean;
  /** Returns `NAME RESULT` of each hook that the node completed with effect. */
  completedHooks(): string[];
  /** The number of this instance's records, in any state. */
  opsworksRecords(): number;
  openMetadata(): Promise<void>;
  openEndpoint(): void;
  interruptSpot(): void;
  scaleIn(): void;
}

export interface SeenContainerInstance {
  arn: string;
  status: string;
  connected: boolean;
  tasks: number;
  capacityProvider: string | undefined;
}

const group = 'prod-nodes';

/** EC2 calls `onTerminate` to press the power button. */
export async function openAws(
  options: AwsOptions,
  userData: string | undefined,
  onTerminate: () => void,
): Promise<Aws> {
  const { clusters = ['prod'], hooks = false, aheadMs = 0 } = options;
  const starts: string[] = [];
  let instance: Instance | undefined;
  const simulator = await startSimulator({
    port: 4566,
    clusters,
    ...(options.settings && { settings: options.settings }),
    ...(aheadMs !== 0 && { clock: clockAhead(aheadMs) }),
    stacks: options.opsworks === true ? [{ name: 'v2 prod web', layers: [{ shortName: 'ecs' }] }] : [],
    groups: [
      {
        name: group,
        max: 2,
        desired: 0,
        hooks: hooks
          ? [
              { name: 'ecs-node-launch', transition: 'launch', heartbeatSeconds: 300 },
              { name: 'ecs-node-terminate', transition: 'terminate', heartbeatSeconds: 300 },
            ]
          : [],
        template: {
          tags: options.tags ?? {},
          ...(userData !== undefined && { userData }),
          ...(options.spot === true && { purchase: 'spot' }),
          ...(options.metadata === 'late' && { metadata: { down: true } }),
        },
      },
    ],
    // The group also launches a replacement. It has no machine, and the first machine uses these
    // addresses.
    addresses: ({ index }) => (index === 0 ? { imds: '169.254.169.254:80', introspection: '127.0.0.1:51678' } : {}),
    onLaunch: (launched) => (instance ??= launched),
    onTerminate: (ended) => {
      if (ended === instance) onTerminate();
    },
  });
  const { verbs, world } = simulator;
  const reopen = options.endpoint === 'silent' ? simulator.faults.add({ effect: { kind: 'hang' } }) : undefined;
  for (const cluster of (options.tasks ?? 0) > 0 ? clusters : []) {
    // 0 %: no other instance can take over the tasks before these stop.
    const service = { name: 'web', desired: options.tasks ?? 0, cpu: 128, memory: 128, minimumHealthyPercent: 0 };
    verbs.createService(cluster, service);
  }
  verbs.setDesiredCapacity(group, 1);
  while (instance === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
  const own = instance;
  const member = () => world.groups.get(group)?.members.get(own.id);

  return {
    simulator,
    calls: () => simulator.calls.list.filter(({ service }) => service !== 'imds' && service !== 'introspection'),
    ecsStarts: () => [...starts],
    startEcsAgent(cluster, hasCheckpoint) {
      starts.push(cluster);
      return world.clusters.has(cluster) && verbs.startEcsAgent(own.id, cluster, hasCheckpoint);
    },
    stopEcsAgent: () => verbs.stopEcsAgent(own.id),
    containerInstance(cluster) {
      const found = world.clusters.get(cluster)?.byInstance.get(own.id);
      if (found === undefined) return undefined;
      const { arn, status, agentConnected: connected, tasks, capacityProvider } = found;
      return { arn, status, connected, tasks: tasks.size, capacityProvider };
    },
    createCapacityProvider: (cluster, name) => verbs.createCapacityProvider(cluster, name, group),
    tags: () => Object.fromEntries(own.tags),
    isProtected: () => own.disableApiTermination,
    lifecycleState: () => member()?.state,
    isDoomed: () => !isAlive(own) || (member()?.state ?? 'Terminated').startsWith('Terminat'),
    completedHooks: () =>
      simulator.calls
        .find({ operation: 'CompleteLifecycleAction', instanceId: own.id, outcome: 'ok' })
        .map(({ params }) => `${String(params['LifecycleHookName'])} ${String(params['LifecycleActionResult'])}`),
    opsworksRecords: () => [...world.registrations.values()].filter(({ instanceId }) => instanceId === own.id).length,
    openMetadata: () => verbs.setMetadata(own.id, { down: false }),
    openEndpoint: () => reopen?.(),
    interruptSpot: () => verbs.noticeSpot(own.id, 'terminate', 120_000),
    scaleIn: () => verbs.terminateInGroup(own.id, true),
  };
}

function clockAhead(ms: number) {
  return {
    now: () => Date.now() + ms,
    after(delayMs: number, run: () => void) {
      const timer = setTimeout(run, Math.min(delayMs, 2 ** 31 - 1)).unref();
      return () => clearTimeout(timer);
    },
  };
}
