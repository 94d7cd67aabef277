/** EC2 instances: launched, tagged, protected, stopped, terminated. */

import { Refusal } from '../refusal.ts';
import { emit, type Instance, type InstanceState, type LaunchOptions, type World } from './state.ts';

const counters = new WeakMap<World, number>();

export function launchInstance(world: World, options: LaunchOptions = {}): Instance {
  const index = counters.get(world) ?? 0;
  counters.set(world, index + 1);
  const instance: Instance = {
    id: `i-0${world.random.hex(16)}`,
    index,
    zone: options.zone ?? world.zones[index % world.zones.length]!,
    type: options.type ?? (options.architecture === 'arm64' ? 'm7g.large' : 'm5.large'),
    imageId: options.imageId ?? 'ami-0abcdef1234567890',
    architecture: options.architecture ?? 'x86_64',
    privateIp: addressOf(index),
    purchase: options.purchase ?? 'on-demand',
    launchedAt: world.clock.now(),
    keyName: undefined,
    state: 'pending',
    reason: '',
    tags: new Map(Object.entries(options.tags ?? {})),
    role: options.role === null ? undefined : (options.role ?? 'ecsInstanceRole'),
    policy: options.policy,
    userData: options.userData,
    disableApiTermination: options.disableApiTermination ?? false,
    shutdownBehavior: options.shutdownBehavior ?? 'terminate',
    metadata: {
      down: false,
      lateMs: 0,
      slowMs: 0,
      html: false,
      always401: false,
      tags: true,
      unassumable: false,
      ...options.metadata,
    },
    notices: { maintenance: [] },
  };
  world.instances.set(instance.id, instance);
  become(world, instance, 'pending', '');
  world.clock.after(world.settings.ec2.pendingMs, () => {
    if (instance.state === 'pending') become(world, instance, 'running', '');
  });
  return instance;
}

/** The VPC reserves the first four addresses. */
function addressOf(index: number): string {
  const host = index + 10;
  return `10.${(host >> 16) & 255}.${(host >> 8) & 255}.${host & 255}`;
}

export function findInstance(world: World, id: string): Instance {
  if (!/^i-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id)) {
    throw new Refusal('InvalidInstanceID.Malformed', `Invalid id: "${id}"`);
  }
  const instance = world.instances.get(id);
  if (!instance) throw new Refusal('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  return instance;
}

export function isAlive({ state }: Instance): boolean {
  return state === 'pending' || state === 'running';
}

/** Refuses a protected instance; idempotent for an instance that is already terminating. */
export function terminateInstance(world: World, instance: Instance, reason: string): void {
  if (instance.disableApiTermination && instance.state !== 'terminated') {
    throw new Refusal(
      'OperationNotPermitted',
      `The instance '${instance.id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.`,
    );
  }
  endInstance(world, instance, reason);
}

/** Ends the instance despite any protection: EC2 or the machine itself decided so. */
export function endInstance(world: World, instance: Instance, reason: string): void {
  if (instance.state === 'shutting-down' || instance.state === 'terminated') return;
  become(world, instance, 'shutting-down', reason);
  const { shuttingDownMs, forgetMs } = world.settings.ec2;
  world.clock.after(shuttingDownMs, () => become(world, instance, 'terminated', reason));
  world.clock.after(shuttingDownMs + forgetMs, () => world.instances.delete(instance.id));
}

export function stopInstance(world: World, instance: Instance, reason: string): void {
  if (instance.state === 'stopping' || instance.state === 'stopped') return;
  if (instance.state === 'shutting-down' || instance.state === 'terminated') {
    const message = `This instance '${instance.id}' is not in a state from which it can be stopped.`;
    throw new Refusal('IncorrectInstanceState', message);
  }
  if (instance.purchase === 'spot') {
    throw new Refusal(
      'UnsupportedOperation',
      `You can't stop the Spot Instance '${instance.id}' of a one-time request.`,
    );
  }
  haltInstance(world, instance, reason);
}

export function haltInstance(world: World, instance: Instance, reason: string): void {
  become(world, instance, 'stopping', reason);
  world.clock.after(world.settings.ec2.stoppingMs, () => {
    if (instance.state === 'stopping') become(world, instance, 'stopped', reason);
  });
}

export function startInstance(world: World, instance: Instance): void {
  if (instance.state !== 'stopped') {
    const message = `The instance '${instance.id}' is not in a state from which it can be started.`;
    throw new Refusal('IncorrectInstanceState', message);
  }
  become(world, instance, 'pending', '');
  world.clock.after(world.settings.ec2.pendingMs, () => {
    if (instance.state === 'pending') become(world, instance, 'running', '');
  });
}

export function powerOff(world: World, instance: Instance): void {
  const reason = 'Client.InstanceInitiatedShutdown: Instance initiated shutdown';
  if (instance.shutdownBehavior === 'terminate') endInstance(world, instance, reason);
  else haltInstance(world, instance, reason);
}

export const maxTags = 50;

export function tagInstance(instance: Instance, tags: readonly { key: string; value: string }[]): void {
  for (const { key, value } of tags) {
    if (key.startsWith('aws:')) {
      throw new Refusal('InvalidParameterValue', `Tag keys starting with 'aws:' are reserved for internal use`);
    }
    if (key.length === 0 || key.length > 127) {
      throw new Refusal('InvalidParameterValue', `Tag key exceeds the maximum length of 127 characters or is empty`);
    }
    if (value.length > 255) {
      throw new Refusal('InvalidParameterValue', `Tag value exceeds the maximum length of 255 characters`);
    }
  }
  const own = [...instance.tags.keys(), ...tags.map(({ key }) => key)].filter((key) => !key.startsWith('aws:'));
  if (new Set(own).size > maxTags) {
    throw new Refusal('TagLimitExceeded', `More than ${maxTags} tags specified for instance '${instance.id}'`);
  }
  for (const { key, value } of tags) instance.tags.set(key, value);
}

function become(world: World, instance: Instance, state: InstanceState, reason: string): void {
  instance.state = state;
  instance.reason = reason;
  emit(world, { kind: 'instance', instance, state, reason });
}
