/**
 * The machines of the instances. Each serves its metadata and, while its ECS agent runs, the
 * introspection API.
 */

import type { CallLog } from './calls.ts';
import type { openFaults } from './faults.ts';
import type { Keyring } from './iam/keyring.ts';
import { openImds } from './metadata/imds.ts';
import { openIntrospection } from './node/introspection.ts';
import { openSwitchedServer, parseAddress, urlOf, type Address, type SwitchedServer } from './node/switched-server.ts';
import type { SimulatorOptions } from './options.ts';
import type { IdentityKeys } from './services/service.ts';
import type { Machines } from './verbs.ts';
import { connectAgent, createCluster, findByInstance, setConnected } from './world/clusters.ts';
import { isAlive } from './world/instances.ts';
import { emit, type Instance, type World } from './world/state.ts';

export interface MachineDeps {
  world: World;
  options: SimulatorOptions;
  keyring: Keyring;
  keys: IdentityKeys;
  faults: ReturnType<typeof openFaults>;
  calls: CallLog & { add(call: CallLog['list'][number]): void };
  addresses: (index: number) => { imds: Address; introspection: Address };
}

interface NodeEndpoints {
  instance: Instance;
  imds: SwitchedServer;
  introspection: SwitchedServer;
  agentRuns: boolean;
  hasRegistered: boolean;
  booted: Promise<void>;
  finishBoot: (error?: unknown) => void;
}

export interface MachineEndpoints extends Machines {
  imdsEndpoint(instanceId: string): string;
  introspectionEndpoint(instanceId: string): string;
  close(): void;
}

export function openMachines(deps: MachineDeps): MachineEndpoints {
  const { world } = deps;
  const stations = new Map<string, NodeEndpoints>();
  const find = (id: string) => {
    const endpoints = stations.get(id);
    if (!endpoints) throw new Error(`no machine for ${id}: it was never launched, or is long terminated`);
    return endpoints;
  };
  followWorld(deps, stations);
  return {
    imdsEndpoint: (id) => urlOf(find(id).imds.address),
    introspectionEndpoint: (id) => urlOf(find(id).introspection.address),
    booted: ({ id }) => find(id).booted,
    startEcsAgent: ({ id }, cluster, hasCheckpoint) => startAgent(world, find(id), cluster, hasCheckpoint),
    stopEcsAgent: ({ id }) => stopAgent(world, find(id)),
    async refresh({ id, metadata }) {
      const { imds } = find(id);
      if (metadata.down) imds.off();
      else await imds.on();
    },
    close() {
      for (const { imds, introspection } of stations.values()) {
        imds.off();
        introspection.off();
      }
    },
  };
}

function followWorld(deps: MachineDeps, stations: Map<string, NodeEndpoints>): void {
  const { world, options } = deps;
  world.listeners.add((event) => {
    if (event.kind === 'container-instance') {
      const endpoints = stations.get(event.instance.instanceId);
      const serves = event.state === 'ACTIVE' || event.state === 'connected';
      if (endpoints?.agentRuns && serves) void endpoints.introspection.on();
    }
    if (event.kind !== 'instance') return;
    const { instance, state } = event;
    if (state === 'pending' && !stations.has(instance.id)) stations.set(instance.id, openNodeEndpoints(deps, instance));
    const endpoints = stations.get(instance.id);
    if (!endpoints) return;
    if (state === 'running') void boot(endpoints, options.onLaunch);
    if (state === 'shutting-down' || state === 'stopping') options.onTerminate?.(instance);
    if (state === 'terminated' || state === 'stopped') {
      stopAgent(world, endpoints);
      endpoints.imds.off();
    }
    // A caller that waits for this machine's boot must not wait for ever.
    if (state === 'terminated') {
      endpoints.finishBoot();
      world.clock.after(world.settings.ec2.forgetMs, () => stations.delete(instance.id));
    }
  });
}

async function boot(endpoints: NodeEndpoints, onLaunch: SimulatorOptions['onLaunch']): Promise<void> {
  try {
    if (!endpoints.instance.metadata.down) await endpoints.imds.on();
    if (!isAlive(endpoints.instance)) return endpoints.imds.off();
    endpoints.finishBoot();
    onLaunch?.(endpoints.instance);
  } catch (error) {
    endpoints.finishBoot(error);
  }
}

function openNodeEndpoints(deps: MachineDeps, instance: Instance): NodeEndpoints {
  const { world, keyring, keys, faults, calls } = deps;
  const given = deps.options.addresses?.(instance) ?? {};
  const own = deps.addresses(instance.index);
  const instanceId = instance.id;
  const choose = (service: string) => (operation: string) => faults.choose({ service, operation, instanceId });
  const log =
    (service: string) =>
    (operation: string, outcome: string, at = world.clock.now()) =>
      calls.add({ at, service, operation, instanceId, params: {}, outcome, ms: world.clock.now() - at });
  const imds = openImds({ world, instance, keyring, keys, choose: choose('imds'), log: log('imds') });
  const view = openIntrospection(() => findByInstance(world, instanceId), log('introspection'));
  let finishBoot: NodeEndpoints['finishBoot'] = () => {};
  const booted = new Promise<void>((resolve, reject) => {
    finishBoot = (error) => (error === undefined ? resolve() : reject(error));
  });
  // A rejection must not end the process if no caller waits for the boot.
  booted.catch(() => {});
  return {
    instance,
    imds: openSwitchedServer(given.imds === undefined ? own.imds : parseAddress(given.imds), imds),
    introspection: openSwitchedServer(
      given.introspection === undefined ? own.introspection : parseAddress(given.introspection),
      view,
    ),
    agentRuns: false,
    hasRegistered: false,
    booted,
    finishBoot,
  };
}

/**
 * Without the cluster or a role, or with a checkpoint of a container instance that was
 * deregistered, the real agent exits with an error. This agent then never registers.
 */
function startAgent(
  world: World,
  endpoints: NodeEndpoints,
  clusterName: string,
  hasCheckpoint: boolean | undefined,
): boolean {
  const { instance } = endpoints;
  if (clusterName === 'default' && !world.clusters.has('default')) createCluster(world, 'default');
  // An agent that has registered in another cluster stays there: an instance serves one cluster.
  const before = findByInstance(world, instance.id);
  const cluster = before === undefined ? world.clusters.get(clusterName) : before.cluster;
  const isGone = hasCheckpoint === true && endpoints.hasRegistered && before === undefined;
  if (!cluster || instance.role === undefined || isGone) {
    const why = isGone ? 'its container instance is INACTIVE' : 'no credentials';
    const state = `ECS agent ended: ${cluster ? why : `cluster ${clusterName} not found`}`;
    emit(world, { kind: 'notice', instanceId: instance.id, state });
    return false;
  }
  endpoints.agentRuns = true;
  const forgets = hasCheckpoint === false && endpoints.hasRegistered;
  endpoints.hasRegistered = true;
  connectAgent(world, cluster, instance, () => endpoints.agentRuns, forgets);
  return true;
}

function stopAgent(world: World, endpoints: NodeEndpoints): void {
  if (!endpoints.agentRuns) return;
  endpoints.agentRuns = false;
  endpoints.introspection.off();
  const located = findByInstance(world, endpoints.instance.id);
  if (located) setConnected(world, located.cluster, located.instance, false);
}
