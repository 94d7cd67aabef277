/**
 * OpsWorks Stacks: stacks, layers, and its own records of instances, whose states change after
 * delays.
 */

import { Refusal } from '../refusal.ts';
import type { StackOptions } from '../options.ts';
import { isAlive } from './instances.ts';
import { arnOf, emit, type Instance, type Layer, type Registration, type Stack, type World } from './state.ts';

export function createStack(world: World, options: StackOptions, parameters: Record<string, string>): Stack {
  const id = options.id ?? world.random.uuid();
  const region = options.region ?? world.region;
  const arn = `arn:aws:opsworks:${region}:${world.accountId}:stack/${id}/`;
  const stack: Stack = { id, name: options.name, arn, region, parameters };
  world.stacks.set(id, stack);
  for (const { id: given, name, shortName } of options.layers) {
    const layerId = given ?? world.random.uuid();
    world.layers.set(layerId, { id: layerId, stackId: id, name: name ?? shortName, shortName });
  }
  return stack;
}

export function findStack(world: World, id: string): Stack {
  const stack = world.stacks.get(id);
  if (!stack) throw new Refusal('ResourceNotFoundException', `Unable to find stack with ID ${id}`);
  return stack;
}

export function findLayer(world: World, id: string): Layer {
  const layer = world.layers.get(id);
  if (!layer) throw new Refusal('ResourceNotFoundException', `Unable to find layer with ID ${id}`);
  return layer;
}

export function findRegistration(world: World, id: string): Registration {
  const registration = world.registrations.get(id);
  if (!registration) throw new Refusal('ResourceNotFoundException', `Unable to find instance with ID ${id}`);
  return registration;
}

const hostnamePattern = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i;

/**
 * Suggests the lowest free number: two nodes that ask before either registers get the same name.
 */
export function suggestHostname(world: World, layer: Layer): string {
  const taken = namesIn(world, layer.stackId);
  let number = 1;
  while (taken.has(`${layer.shortName}${number}`)) number++;
  return `${layer.shortName}${number}`;
}

/**
 * Indexes beside the records: with a thousand nodes that register together, no node may scan all
 * records.
 */
interface Index {
  /** Maps each stack to its host names. */
  names: Map<string, Set<string>>;
  byInstance: Map<string, Registration>;
}

const indexes = new WeakMap<World, Index>();

function indexOf(world: World): Index {
  const index = indexes.get(world) ?? { names: new Map(), byInstance: new Map() };
  indexes.set(world, index);
  return index;
}

function namesIn(world: World, stackId: string): Set<string> {
  const { names } = indexOf(world);
  const taken = names.get(stackId) ?? new Set<string>();
  names.set(stackId, taken);
  return taken;
}

export interface RegistrationRequest {
  stack: Stack;
  instance: Instance;
  hostname: string;
  privateIp: string;
  publicIp: string;
}

export function registerInstance(world: World, request: RegistrationRequest): Registration {
  const { stack, instance, hostname, privateIp, publicIp } = request;
  const invalid = (message: string) => new Refusal('ValidationException', message);
  if (!hostnamePattern.test(hostname)) throw invalid(`Hostname ${hostname} is invalid`);
  const taken = namesIn(world, stack.id);
  if (taken.has(hostname.toLowerCase())) throw invalid(`Hostname ${hostname} is already in use in this stack`);
  const known = indexOf(world).byInstance.get(instance.id);
  if (known) throw invalid(`Instance ${instance.id} is already registered as ${known.id}`);
  const now = world.clock.now();
  const { listingLagMs, registeringMs, registersAs, protectAfterMs } = world.settings.opsworks;
  const id = world.random.uuid();
  const registration: Registration = {
    id,
    stackId: stack.id,
    arn: arnOf(world, 'opsworks', `instance/${id}`),
    instanceId: instance.id,
    hostname,
    privateIp,
    publicIp,
    createdAt: now,
    status: 'registering',
    layerIds: [],
    listedFrom: now + listingLagMs,
  };
  taken.add(hostname.toLowerCase());
  world.registrations.set(id, registration);
  indexOf(world).byInstance.set(instance.id, registration);
  become(world, registration, 'registering');
  if (registersAs !== 'never') later(world, registration, registeringMs, 'registering', registersAs);
  if (protectAfterMs !== undefined) world.clock.after(protectAfterMs, () => protect(world, registration, instance));
  return registration;
}

function protect(world: World, registration: Registration, instance: Instance): void {
  // Spot instances cannot be protected, so OpsWorks skips them.
  if (!world.registrations.has(registration.id) || !isAlive(instance) || instance.purchase === 'spot') return;
  instance.disableApiTermination = true;
  emit(world, { kind: 'notice', instanceId: instance.id, state: 'termination protection on' });
}

export function assignInstance(world: World, registration: Registration, layers: readonly Layer[]): void {
  const foreign = layers.find(({ stackId }) => stackId !== registration.stackId);
  if (foreign) {
    throw new Refusal('ValidationException', `Layer ${foreign.id} does not belong to stack ${registration.stackId}`);
  }
  if (registration.status !== 'registered') {
    const message = `Instance ${registration.id} cannot be assigned: it must be registered, but is ${registration.status}`;
    throw new Refusal('ValidationException', message);
  }
  const { assigningMs, setupMs, setupEndsAs } = world.settings.opsworks;
  registration.layerIds = layers.map(({ id }) => id);
  become(world, registration, 'assigning');
  later(world, registration, assigningMs, 'assigning', 'running_setup');
  if (setupEndsAs !== 'never') later(world, registration, assigningMs + setupMs, 'running_setup', setupEndsAs);
}

export function unassignInstance(world: World, registration: Registration): void {
  if (registration.layerIds.length === 0) {
    throw new Refusal('ValidationException', `Instance ${registration.id} is not assigned to any layer`);
  }
  if (registration.status === 'unassigning' || registration.status === 'deregistering') {
    throw new Refusal('ValidationException', `Instance ${registration.id} is ${registration.status}`);
  }
  become(world, registration, 'unassigning');
  world.clock.after(world.settings.opsworks.unassigningMs, () => {
    if (registration.status !== 'unassigning') return;
    registration.layerIds = [];
    become(world, registration, 'registered');
  });
}

export function deregisterInstance(world: World, registration: Registration): void {
  if (registration.status === 'deregistering') {
    throw new Refusal('ValidationException', `Instance ${registration.id} is already being deregistered`);
  }
  become(world, registration, 'deregistering');
  world.clock.after(world.settings.opsworks.deregisteringMs, () => {
    world.registrations.delete(registration.id);
    indexOf(world).byInstance.delete(registration.instanceId);
    namesIn(world, registration.stackId).delete(registration.hostname.toLowerCase());
    become(world, registration, 'deregistered');
  });
}

/** A machine that ends without deregistering leaves its record behind. */
export function watchAgents(world: World): void {
  world.listeners.add((event) => {
    if (event.kind !== 'instance' || event.state !== 'terminated') return;
    const { id } = event.instance;
    world.clock.after(world.settings.opsworks.connectionLostMs, () => {
      const registration = indexOf(world).byInstance.get(id);
      if (registration && registration.status !== 'deregistering') become(world, registration, 'connection_lost');
    });
  });
}

function later(world: World, registration: Registration, ms: number, from: string, to: string): void {
  world.clock.after(ms, () => {
    if (registration.status === from) become(world, registration, to);
  });
}

function become(world: World, registration: Registration, status: string): void {
  registration.status = status;
  emit(world, { kind: 'registration', registration, state: status });
}
