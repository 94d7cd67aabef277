/** The machines of the instances: each has a metadata service and, while its ECS agent runs, introspection. */

import type { CallLog } from './calls.ts';
import type { openFaults } from './faults.ts';
import type { Keyring } from './iam/keyring.ts';
import { openImds } from './metadata/imds.ts';
import { openIntrospection } from './node/introspection.ts';
import { openOutlet, parseAddress, urlOf, type Address, type Outlet } from './node/station.ts';
import type { SimulatorOptions } from './options.ts';
import type { IdentityKeys } from './services/service.ts';
import type { Machines } from './verbs.ts';
import { connectAgent, createCluster, findByInstance, setConnected } from './world/clusters.ts';
import { isAlive } from './world/instances.ts';
import { emit, type Instance, type World } from './world/state.ts';

export interface Surroundings {
  world: World;
  options: SimulatorOptions;
  keyring: Keyring;
  keys: IdentityKeys;
  faults: ReturnType<typeof openFaults>;
  calls: CallLog & { add(call: CallLog['list'][number]): void };
  addresses: (index: number) => { imds: Address; introspection: Address };
}

interface Station {
  instance: Instance;
  imds: Outlet;
  introspection: Outlet;
  agentRuns: boolean;
  booted: Promise<void>;
  settle: (error?: unknown) => void;
}

export interface Park extends Machines {
  imdsEndpoint(instanceId: string): string;
  introspectionEndpoint(instanceId: string): string;
  close(): void;
}

export function openMachines(around: Surroundings): Park {
  const { world } = around;
  const stations = new Map<string, Station>();
  const find = (id: string) => {
    const station = stations.get(id);
    if (!station) throw new Error(`no machine for ${id}: it was never launched, or is long terminated`);
    return station;
  };
  followWorld(around, stations);
  return {
    imdsEndpoint: (id) => urlOf(find(id).imds.address),
    introspectionEndpoint: (id) => urlOf(find(id).introspection.address),
    booted: ({ id }) => find(id).booted,
    startEcsAgent: ({ id }, cluster) => startAgent(world, find(id), cluster),
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

function followWorld(around: Surroundings, stations: Map<string, Station>): void {
  const { world, options } = around;
  world.listeners.add((event) => {
    if (event.kind === 'container-instance') {
      const station = stations.get(event.instance.instanceId);
      const serves = event.state === 'ACTIVE' || event.state === 'connected';
      if (station?.agentRuns && serves) void station.introspection.on();
    }
    if (event.kind !== 'instance') return;
    const { instance, state } = event;
    if (state === 'pending' && !stations.has(instance.id)) stations.set(instance.id, openStation(around, instance));
    const station = stations.get(instance.id);
    if (!station) return;
    if (state === 'running') void boot(station, options.onLaunch);
    if (state === 'shutting-down' || state === 'stopping') options.onTerminate?.(instance);
    if (state === 'terminated' || state === 'stopped') {
      stopAgent(world, station);
      station.imds.off();
    }
    // Those who waited for it will not wait for ever.
    if (state === 'terminated') {
      station.settle();
      world.clock.after(world.settings.ec2.forgetMs, () => stations.delete(instance.id));
    }
  });
}

async function boot(station: Station, onLaunch: SimulatorOptions['onLaunch']): Promise<void> {
  try {
    if (!station.instance.metadata.down) await station.imds.on();
    if (!isAlive(station.instance)) return station.imds.off();
    station.settle();
    onLaunch?.(station.instance);
  } catch (error) {
    station.settle(error);
  }
}

function openStation(around: Surroundings, instance: Instance): Station {
  const { world, keyring, keys, faults, calls } = around;
  const given = around.options.addresses?.(instance) ?? {};
  const own = around.addresses(instance.index);
  const instanceId = instance.id;
  const choose = (service: string) => (operation: string) => faults.choose({ service, operation, instanceId });
  const log =
    (service: string) =>
    (operation: string, outcome: string, at = world.clock.now()) =>
      calls.add({ at, service, operation, instanceId, params: {}, outcome, ms: world.clock.now() - at });
  const imds = openImds({ world, instance, keyring, keys, choose: choose('imds'), log: log('imds') });
  const view = openIntrospection(() => findByInstance(world, instanceId), log('introspection'));
  let settle: Station['settle'] = () => {};
  const booted = new Promise<void>((resolve, reject) => {
    settle = (error) => (error === undefined ? resolve() : reject(error));
  });
  // Nobody has to wait for it.
  booted.catch(() => {});
  return {
    instance,
    imds: openOutlet(given.imds === undefined ? own.imds : parseAddress(given.imds), imds),
    introspection: openOutlet(
      given.introspection === undefined ? own.introspection : parseAddress(given.introspection),
      view,
    ),
    agentRuns: false,
    booted,
    settle,
  };
}

/** A cluster that is not there, or no role: the real agent ends with an error, and so this one never registers. */
function startAgent(world: World, station: Station, clusterName: string): void {
  const { instance } = station;
  if (clusterName === 'default' && !world.clusters.has('default')) createCluster(world, 'default');
  const cluster = world.clusters.get(clusterName);
  if (!cluster || instance.role === undefined) {
    const state = cluster ? 'ECS agent ended: no credentials' : `ECS agent ended: cluster ${clusterName} not found`;
    return emit(world, { kind: 'notice', instanceId: instance.id, state });
  }
  station.agentRuns = true;
  connectAgent(world, cluster, instance, () => station.agentRuns);
}

function stopAgent(world: World, station: Station): void {
  if (!station.agentRuns) return;
  station.agentRuns = false;
  station.introspection.off();
  const place = findByInstance(world, station.instance.id);
  if (place) setConnected(world, place.cluster, place.instance, false);
}
