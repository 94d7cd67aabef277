/**
 * EC2's announcements to an instance through its metadata: spot interruption, rebalance,
 * maintenance.
 */

import { Refusal } from '../refusal.ts';
import { endInstance, haltInstance, isAlive } from './instances.ts';
import { emit, type Instance, type MaintenanceEvent, type World } from './state.ts';

export type SpotAction = 'terminate' | 'stop' | 'hibernate';

/**
 * Announces the interruption, and reclaims the instance after `inMs`. EC2 runs no hook and ignores
 * protection.
 */
export function noticeSpot(world: World, instance: Instance, action: SpotAction, inMs: number): void {
  mustBeSpot(instance);
  const spot = { action, at: world.clock.now() + inMs };
  instance.notices.spot = spot;
  emit(world, { kind: 'notice', instanceId: instance.id, state: `spot ${action}` });
  world.clock.after(inMs, () => {
    if (instance.notices.spot !== spot || !isAlive(instance)) return;
    const reason = 'Server.SpotInstanceTermination: Spot instance termination';
    if (action === 'terminate') endInstance(world, instance, reason);
    else haltInstance(world, instance, 'Server.SpotInstanceShutdown: Spot instance shutdown');
  });
}

/** Announces the interruption in the metadata service only; nothing follows. */
export function claimSpot(world: World, instance: Instance, action: SpotAction, inMs: number): void {
  mustBeSpot(instance);
  instance.notices.spot = { action, at: world.clock.now() + inMs, isClaimed: true };
  emit(world, { kind: 'notice', instanceId: instance.id, state: `spot ${action}, as the metadata has it` });
}

function mustBeSpot({ id, purchase }: Instance): void {
  if (purchase === 'spot') return;
  throw new Refusal('UnsupportedOperation', `${id} runs on demand: EC2 announces this to spot instances only.`);
}

export function withdrawSpot(world: World, instance: Instance): void {
  delete instance.notices.spot;
  emit(world, { kind: 'notice', instanceId: instance.id, state: 'spot withdrawn' });
}

export function recommendRebalance(world: World, instance: Instance, on: boolean): void {
  mustBeSpot(instance);
  if (on) instance.notices.rebalance ??= world.clock.now();
  else delete instance.notices.rebalance;
  emit(world, { kind: 'notice', instanceId: instance.id, state: on ? 'rebalance' : 'rebalance withdrawn' });
}

export const maintenanceCodes = [
  'instance-reboot',
  'system-reboot',
  'system-maintenance',
  'instance-retirement',
  'instance-stop',
];

const day = 86_400_000;

export function scheduleMaintenance(
  world: World,
  instance: Instance,
  event: Partial<MaintenanceEvent> & { code: string },
): string {
  if (!maintenanceCodes.includes(event.code)) {
    throw new Refusal(
      'InvalidParameterValue',
      `maintenance code must be one of ${maintenanceCodes.join(', ')}; got ${event.code}`,
    );
  }
  const notBefore = event.notBefore ?? world.clock.now() + 7 * day;
  const scheduled: MaintenanceEvent = {
    id: `instance-event-0${world.random.hex(16)}`,
    state: 'active',
    description: `scheduled ${event.code.replace(/^(instance|system)-/, '')}`,
    notBefore,
    notAfter: notBefore + 7_200_000,
    ...event,
  };
  instance.notices.maintenance.push(scheduled);
  emit(world, { kind: 'notice', instanceId: instance.id, state: `maintenance ${event.code}` });
  return scheduled.id;
}

export function endMaintenance(
  world: World,
  instance: Instance,
  eventId: string,
  state: 'completed' | 'canceled',
): void {
  const event = instance.notices.maintenance.find(({ id }) => id === eventId);
  if (!event) throw new Refusal('InvalidParameterValue', `no event ${eventId}`);
  event.state = state;
  event.description = `[${state === 'completed' ? 'Completed' : 'Canceled'}] ${event.description}`;
  emit(world, { kind: 'notice', instanceId: instance.id, state: `maintenance ${state}` });
}

export function setTargetState(world: World, instance: Instance, state: string | undefined): void {
  if (state === undefined) delete instance.notices.targetState;
  else instance.notices.targetState = state;
  emit(world, { kind: 'notice', instanceId: instance.id, state: `target state ${state ?? 'absent'}` });
}
