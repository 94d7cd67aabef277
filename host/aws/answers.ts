/**
 * Checks the result of each verb before any code relies on it. The SDK passes on every field of an
 * answer unchecked.
 */

import { flag, listOf, maybe, number, recordOf, shaped, text, time } from '../../core/shape.ts';
import type { Registration } from '../../core/host.ts';
import type { Verb } from './child/verbs.ts';

const registration = maybe(
  shaped<Registration>({ id: text, hostname: text, status: text, layerIds: listOf(text), older: maybe(listOf(text)) }),
);

/** A verb that is missing here has no result, or no result that other code relies on. */
export const kinds: Readonly<Partial<Record<Verb, (value: unknown) => boolean>>> = {
  readOwnTags: recordOf(text),
  readTerminationProtection: flag,
  readMembership: maybe(shaped({ group: text, lifecycleState: text, protectedFromScaleIn: flag })),
  readHooks: listOf(shaped({ name: text, transition: text, heartbeatSeconds: number, globalSeconds: number })),
  readActivities: listOf(shaped({ kind: text, instanceId: text, at: time, succeeded: flag })),
  readContainerInstance: maybe(
    shaped({
      arn: text,
      status: text,
      agentConnected: flag,
      runningTasks: number,
      pendingTasks: number,
      queuedFor: listOf(text),
      registeredAt: number,
      others: listOf(text),
    }),
  ),
  ownsContainerInstance: flag,
  readRecords: listOf(shaped({ arn: text, ec2InstanceId: text, agentConnected: flag, replaced: flag })),
  readRunning: listOf(text),
  readSpotStatus: maybe(text),
  readScheduledEvents: listOf(
    shaped<{ id: string; code: string; startsInMs?: number }>({ id: text, code: text, startsInMs: maybe(number) }),
  ),
  readTasks: listOf(
    shaped({ arn: text, containerInstanceArn: text, group: text, lastStatus: text, desiredStatus: text }),
  ),
  readClusterHealth: shaped({
    registered: number,
    draining: number,
    disconnected: number,
    disconnectedArns: listOf(text),
  }),
  readUnsteadyServices: listOf(text),
  readLeaveQueue: listOf(shaped({ arn: text, since: number })),
  readStack: maybe(shaped({ id: text, name: text, region: text })),
  readLayer: maybe(shaped({ id: text, stackId: text, shortName: text })),
  readProvisioning: shaped({ installerUrl: text, parameters: recordOf(text) }),
  suggestHostname: text,
  findRegistration: registration,
  readRegistration: registration,
  readStopReason: maybe(text),
  readStopTimeout: number,
  readProtectedTasks: listOf(text),
  readTaskDefinition: maybe(text),
  startTask: text,
  readPing: maybe(text),
  readDocuments: listOf(
    shaped<{ name: string; version: string; text?: string }>({ name: text, version: text, text: maybe(text) }),
  ),
};
