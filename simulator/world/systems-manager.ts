/** Systems Manager: the managed instances of its agent, and parameters. */

import { Refusal } from '../refusal.ts';
import { isAlive } from './instances.ts';
import { emit, type Instance, type Parameter, type World } from './state.ts';

/**
 * The image contains the agent. An instance with a role appears by itself, and loses its connection
 * when it ends.
 */
export function watchManaged(world: World): void {
  world.listeners.add((event) => {
    if (event.kind !== 'instance') return;
    const { instance, state } = event;
    const { onlineAfterMs, connectionLostMs } = world.settings.ssm;
    if (state === 'running' && instance.role !== undefined && onlineAfterMs !== undefined) {
      world.clock.after(onlineAfterMs, () => setOnline(world, instance));
    }
    if (state === 'terminated') world.clock.after(connectionLostMs, () => world.managed.delete(instance.id));
    if (state === 'stopped') world.clock.after(connectionLostMs, () => lose(world, instance.id));
  });
}

function setOnline(world: World, instance: Instance): void {
  if (!isAlive(instance)) return;
  const now = world.clock.now();
  const registeredAt = world.managed.get(instance.id)?.registeredAt ?? now;
  world.managed.set(instance.id, { instanceId: instance.id, ping: 'Online', lastPingAt: now, registeredAt });
  emit(world, { kind: 'notice', instanceId: instance.id, state: 'Systems Manager online' });
}

function lose(world: World, instanceId: string): void {
  const managed = world.managed.get(instanceId);
  if (managed) managed.ping = 'ConnectionLost';
}

export function findParameter(world: World, name: string): Parameter | undefined {
  return world.parameters.get(name.replace(/^arn:[^/]*:parameter(?=\/)/, ''));
}

export function putParameter(
  world: World,
  name: string,
  value: string,
  type: Parameter['type'] = 'String',
  overwrite = true,
): Parameter {
  const known = world.parameters.get(name);
  if (known && !overwrite) {
    const message =
      'The parameter already exists. To overwrite this value, set the overwrite option in the request to true.';
    throw new Refusal('ParameterAlreadyExists', message);
  }
  const parameter = { name, type, value, version: (known?.version ?? 0) + 1, modifiedAt: world.clock.now() };
  world.parameters.set(name, parameter);
  return parameter;
}
