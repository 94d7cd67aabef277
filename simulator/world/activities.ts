/** The history of an Auto Scaling group, in AWS's own wording. */

import { emit, type Activity, type Group, type Instance, type Member, type World } from './state.ts';

/** AWS keeps six weeks. This limit keeps a simulated storm of launches from filling the memory. */
const maxActivities = 5_000;

export function recordActivity(world: World, group: Group, description: string, cause: string): Activity {
  const activity: Activity = {
    id: world.random.uuid(),
    description,
    cause: `At ${stamp(world)} ${cause}`,
    startedAt: world.clock.now(),
    endedAt: undefined,
    status: 'InProgress',
    message: undefined,
    progress: 30,
  };
  group.activities.push(activity);
  if (group.activities.length > maxActivities) group.activities.splice(0, maxActivities / 5);
  return activity;
}

/** Appends `Status Reason` to the description, as AWS does. */
export function endActivity(world: World, activity: Activity, status: string, message?: string): void {
  if (activity.endedAt !== undefined) return;
  activity.status = status;
  activity.progress = 100;
  activity.endedAt = world.clock.now();
  activity.message = message;
  if (message !== undefined) activity.description += `.  Status Reason: ${message}`;
}

export const launching = (instance: Instance) => `Launching a new EC2 instance: ${instance.id}`;

export const terminating = (instanceId: string) => `Terminating EC2 instance: ${instanceId}`;

export function setMemberState(world: World, group: Group, member: Member, state: string): void {
  member.state = state;
  emit(world, { kind: 'member', group, member, state });
}

function stamp(world: World): string {
  return new Date(world.clock.now()).toISOString().replace(/\.\d+/, '');
}
