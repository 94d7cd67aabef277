/**
 * The project's own simulator with one instance, and the real host/ in front of it, with real wire
 * formats, signatures and metadata.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { vi } from 'vitest';
import { openLog } from '../../../core/log.ts';
import { openCloud } from '../../../host/aws/open.ts';
import { guardRecords } from '../../../host/aws/ecs/own-records.ts';
import { openClock } from '../../../host/clock.ts';
import { openEcsAgent } from '../../../host/ecs-introspection.ts';
import { openMetadata } from '../../../host/metadata/imds.ts';
import { layerId, stackId, startSimulator, type Simulator } from '../../../simulator/simulator.ts';
import { registerTarget } from '../../../simulator/world/balancers.ts';
import { findStack, registerInstance } from '../../../simulator/world/opsworks.ts';
import type { Instance } from '../../../simulator/world/state.ts';
import type { CloudStage, OpenCloud } from '../cloud.ts';
import type { EcsAgentStage } from '../ecs-agent.ts';
import type { MetadataStage } from '../metadata.ts';
import { openSteppedClock } from './stepped-clock.ts';

const patient = new AbortController().signal;
const group = 'ecs-nodes';
const cluster = 'demo';

/** Polls until there is a result. */
async function wait<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await sleep(20);
  }
}

export async function simulatedMetadata(): Promise<MetadataStage> {
  const simulator = await startSimulator();
  const { verbs, region } = simulator;
  const instance = await verbs.launch({ metadata: { tags: true }, purchase: 'spot' });
  return {
    metadata: openMetadata(simulator.environmentFor(instance.id), openClock()),
    identity: {
      instanceId: instance.id,
      region,
      instanceType: instance.type,
      privateIp: instance.privateIp,
      zone: instance.zone,
      ...(instance.role !== undefined && { role: instance.role }),
    },
    async setTags(tags) {
      for (const [key, value] of Object.entries(tags ?? {})) instance.tags.set(key, value);
      await verbs.setMetadata(instance.id, { tags: tags !== undefined });
    },
    setUserData: (text) => void (instance.userData = text),
    setSpotNotice: ({ action, at }) => verbs.noticeSpot(instance.id, action, at - Date.now()),
    recommendRebalance: () => verbs.recommendRebalance(instance.id),
    schedule: (event) => void verbs.scheduleMaintenance(instance.id, event),
    setTargetState: (state) => verbs.setTargetState(instance.id, state),
    fail: () => verbs.setMetadata(instance.id, { html: true }),
    close: () => simulator.close(),
  };
}

export async function simulatedEcsAgent(): Promise<EcsAgentStage> {
  const simulator = await startSimulator();
  const { id } = await simulator.verbs.launch();
  const ecsAgent = openEcsAgent(simulator.introspectionEndpoint(id));
  return {
    ecsAgent,
    cluster,
    async register() {
      simulator.verbs.startEcsAgent(id, cluster);
      await wait(() => ecsAgent.readAgent(patient));
    },
    runTask: async () => simulator.verbs.runTask(cluster, id),
    async publish() {
      const ports = [{ containerPort: 80, hostPort: 0, protocol: 'tcp' as const }];
      simulator.verbs.registerTaskDefinition('web', { containers: [{ name: 'web', image: 'web:1', ports }] });
      return simulator.verbs.runTask(cluster, id, { family: 'web' });
    },
    pause: () => sleep(20),
    close: () => simulator.close(),
  };
}

export const simulatedCloud: OpenCloud = async ({ member }) => {
  const clock = openSteppedClock();
  const settings = { ssm: { onlineAfterMs: undefined }, s3: { pageKeys: 5 } };
  const simulator = await startSimulator({ clock, settings });
  const { verbs } = simulator;
  const launch = async () => (member ? (await verbs.scaleTo(group, 1))[0]! : verbs.launch());
  const instance = await clock.passDuring(launch());
  const environment = simulator.environmentFor(instance.id);
  // The SDK's credential provider reads the address of the metadata service from the process's own
  // environment.
  vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', environment['AWS_EC2_METADATA_SERVICE_ENDPOINT']);
  const identity = await openMetadata(environment, openClock()).readIdentity(patient);
  const cloud = guardRecords(
    openCloud(
      identity,
      environment,
      openLog(() => {}, Date.now),
    ),
  );
  if (member) {
    const isInService = async () => (await cloud.readMembership(patient))?.lifecycleState === 'InService' || undefined;
    await clock.passDuring(wait(isInService));
  }
  return {
    cloud,
    pause: async () => clock.pass(50),
    async close() {
      vi.unstubAllEnvs();
      await cloud.close();
      await simulator.close();
    },
    instance: {
      protect: async () => verbs.protect(instance.id),
      isEnding: async () => /^(shutting-down|terminated)$/.test(instance.state),
    },
    group: {
      name: group,
      putHook: async (hook) => verbs.putHook(group, hook),
      beginTermination: async () => verbs.terminateInGroup(instance.id),
      hasHistory: true,
    },
    cluster: {
      name: cluster,
      async register() {
        verbs.startEcsAgent(instance.id, cluster);
        const agent = openEcsAgent(simulator.introspectionEndpoint(instance.id));
        return clock.passDuring(wait(async () => (await agent.readAgent(patient))?.containerInstanceArn));
      },
      runTask: async () => verbs.runTask(cluster, instance.id),
      define: async (family, memory) => verbs.registerTaskDefinition(family, { memory }),
      retire: async (definition) => verbs.deregisterTaskDefinition(definition),
      provide: async (name, ofGroup) => verbs.createCapacityProvider(cluster, name, ofGroup),
      counts: true,
    },
    ...stagePeriphery(simulator, instance),
  };
};

function stageConfiguration(verbs: Simulator['verbs']): NonNullable<CloudStage['configuration']> {
  verbs.createBucket('ours');
  return {
    ssm: 'ssm:/ecs/web',
    s3: 's3://ours/ecs/web',
    putParameter: async (name, text, secret = false) =>
      verbs.putParameter(`/ecs/web/${name}`, text, secret ? 'SecureString' : 'String'),
    deleteParameter: async (name) => verbs.deleteParameter(`/ecs/web/${name}`),
    putObject: async (key, text) => verbs.putObject('ours', `ecs/web/${key}`, text),
    deleteObject: async (key) => verbs.deleteObject('ours', `ecs/web/${key}`),
  };
}

function stagePeriphery(
  { world, verbs }: Simulator,
  instance: Instance,
): Pick<CloudStage, 'balancers' | 'opsworks' | 'systemsManager' | 'metrics' | 'events' | 'configuration'> {
  return {
    configuration: stageConfiguration(verbs),
    balancers: {
      async targetGroup() {
        const arn = verbs.createTargetGroup('web', { port: 8080 });
        registerTarget(world, world.targetGroups.get(arn)!, instance.id, 9090);
        return arn;
      },
      async loadBalancer() {
        verbs.createLoadBalancer('classic');
        world.loadBalancers.get('classic')!.instances.set(instance.id, 'InService');
        return 'classic';
      },
      drains: true,
    },
    opsworks: {
      stack: { id: stackId, name: 'demo' },
      layer: { id: layerId, shortName: 'ecs' },
      async register() {
        const stack = findStack(world, stackId);
        const { privateIp } = instance;
        registerInstance(world, { stack, instance, hostname: 'ecs1', privateIp, publicIp: privateIp });
      },
    },
    systemsManager: {
      async start() {
        const now = world.clock.now();
        world.managed.set(instance.id, { instanceId: instance.id, ping: 'Online', lastPingAt: now, registeredAt: now });
      },
    },
    events: {
      received: async () => world.events.map(({ source, type, detail }) => ({ source, type, detail })),
    },
    metrics: {
      names: async (wanted) => world.metrics.flatMap(({ namespace, name }) => (namespace === wanted ? [name] : [])),
    },
  };
}
