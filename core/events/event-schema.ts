/**
 * The events that a node sends to EventBridge, as a receiver reads their detail. The agent imports
 * only the types; docs/events/ is made from here.
 */

import * as z from 'zod';
import { eventVersion } from './event-source.ts';
import { causeNames, endings, phases } from '../state/state.ts';

const time = () => z.iso.datetime();
const reason = () => z.string().describe('Why, in words for people.');
const cause = () => z.enum(causeNames).describe('Cause of the departure.');

const disks = z
  .array(
    z.object({
      mountPath: z.string().describe('Mount point of the file system.'),
      usedPercent: z.number().describe('Percentage of used bytes, as df counts them.'),
      usedInodesPercent: z.number().describe('Percentage of used inodes.'),
    }),
  )
  .describe('Watched file systems. The list is empty where none could be measured.');

const phase = z.object({
  name: z.enum(phases).describe('Name of the phase.'),
  at: time().describe('When it began.'),
  seconds: z.number().optional().describe('How long it took. Absent for the phase that was not over.'),
});

/** The fields of each event beside the common ones, by detail-type. */
export const eventFields = {
  joined: z
    .object({ uptimeSeconds: z.number().describe("Seconds since the machine's boot.") })
    .describe('The node is ACTIVE in ECS, has passed its checks and completed its launch hook.'),
  draining: z
    .object({
      cause: cause(),
      reason: reason(),
      ending: z
        .enum(endings)
        .describe('terminate: the node ends itself. await: AWS or another program ends it. remain: it only drains.'),
      deadline: time().describe('When the whole departure must be over.'),
    })
    .describe('ECS has confirmed DRAINING: it places no new task on the node.'),
  left: z
    .object({
      cause: cause(),
      reason: reason(),
      ending: z.enum(endings).describe('How the departure ends.'),
      returns: z.boolean().describe('True where the same instance comes back, for example from a warm pool.'),
      confirmedBy: z.string().optional().describe('Answer of the second source that confirmed the cause.'),
      startedAt: time().describe('When the departure began.'),
      seconds: z.number().describe('Seconds since then.'),
      phases: z.array(phase).describe('Phases of the departure, in order.'),
      blockers: z.array(z.string()).describe('Tasks that had not stopped.'),
      troubles: z.array(z.string()).describe('Failures that did not stop the departure.'),
    })
    .describe('The node has left: AWS has accepted its end, or its terminate hook is completed.'),
  stayed: z
    .object({ cause: cause(), reason: reason() })
    .describe('A departure was called off, and the node takes tasks again unless another reason prevents it.'),
  held: z
    .object({
      reason: reason(),
      until: time().describe('When the node tries again.'),
      failures: z.number().describe('Number of early failures in the group.'),
    })
    .describe('The storm guard lets the node wait instead of terminating.'),
  'disk-full': z
    .object({ disks })
    .describe('A disk is full. The node stops new tasks, or waits in the leave queue for that, and removes images.'),
  'disk-freed': z.object({ disks }).describe('The disk is free again, and the node takes tasks again.'),
  'configuration-refused': z
    .object({ reason: reason() })
    .describe('A new configuration, or a pulled document, is refused. The node keeps the last good one.'),
  'registered-anew': z
    .object({
      capacityProvider: z.string().describe("Capacity provider of the node's group."),
      reason: z.string().describe('Whether the new record is in it, in words for people.'),
    })
    .describe("ECS had the node outside its group's capacity provider, and the node has registered again."),
} as const;

export type EventType = keyof typeof eventFields;

export const eventTypes = Object.keys(eventFields) as EventType[];

/** The fields that every event has. */
export const commonFields = {
  version: z.literal(eventVersion).describe('Version of this schema. New fields do not raise it.'),
  id: z.string().describe('Unique. An event that arrives twice has the same id.'),
  at: time().describe('When it happened, by the clock of the node.'),
  cluster: z.string().describe('Name of the ECS cluster.'),
  instanceId: z.string().describe('Id of the EC2 instance.'),
  group: z.string().optional().describe('Auto Scaling group, where the metadata service shows the tags.'),
  zone: z.string().describe('Availability Zone.'),
  instanceType: z.string().describe('Instance type.'),
  imageId: z.string().describe('Image of the instance.'),
  program: z.string().describe('Version of ecs-node.'),
};

/** An event as the part of the program tells it that has done the deed. */
export type NodeEvent = { [T in EventType]: { type: T } & z.infer<(typeof eventFields)[T]> }[EventType];

/** The whole detail of an event of that type. */
export function detailSchema(type: EventType): z.ZodType {
  return z.object({ ...commonFields, ...eventFields[type].shape }).describe(eventFields[type].description ?? '');
}
