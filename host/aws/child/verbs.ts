/**
 * The service behind each verb of `Cloud`. The opener and the child's proxy are made from this
 * list.
 */

import type { Cloud } from '../../../core/host.ts';

export type Verb = Exclude<keyof Cloud, 'close'>;

export const serviceOf = {
  tagSelf: 'instance',
  readOwnTags: 'instance',
  readTerminationProtection: 'instance',
  clearTerminationProtection: 'instance',
  terminateSelf: 'instance',
  readRunning: 'instance',
  readSpotStatus: 'instance',
  readScheduledEvents: 'instance',
  readMembership: 'group',
  readHooks: 'group',
  heartbeat: 'group',
  completeHook: 'group',
  terminateInGroup: 'group',
  reportUnhealthy: 'group',
  readActivities: 'group',
  readContainerInstance: 'cluster',
  ownsContainerInstance: 'cluster',
  readRecords: 'cluster',
  drain: 'cluster',
  activate: 'cluster',
  readTasks: 'cluster',
  stopTask: 'cluster',
  readStopReason: 'cluster',
  readStopTimeout: 'cluster',
  readProtectedTasks: 'cluster',
  readTaskDefinition: 'cluster',
  startTask: 'cluster',
  readCapacityProvider: 'cluster',
  deregisterContainerInstance: 'cluster',
  readClusterHealth: 'cluster',
  readUnsteadyServices: 'cluster',
  queueToLeave: 'cluster',
  readLeaveQueue: 'cluster',
  unqueue: 'cluster',
  deregisterTarget: 'balancers',
  isTargetDraining: 'balancers',
  deregisterFromLoadBalancer: 'balancers',
  isLoadBalancerDraining: 'balancers',
  readStack: 'opsworks',
  readLayer: 'opsworks',
  readProvisioning: 'opsworks',
  suggestHostname: 'opsworks',
  findRegistration: 'opsworks',
  readRegistration: 'opsworks',
  assign: 'opsworks',
  unassign: 'opsworks',
  deregister: 'opsworks',
  readPing: 'systemsManager',
  publish: 'metrics',
  putEvent: 'events',
  readDocuments: 'configuration',
} as const satisfies Record<Verb, string>;

export type Service = (typeof serviceOf)[Verb];

export const verbs = Object.keys(serviceOf) as Verb[];

/** A Cloud whose verbs all call `answer`. */
export function cloudOf(
  answer: (verb: Verb) => (...args: unknown[]) => Promise<unknown>,
  close: Cloud['close'],
): Cloud {
  return { ...Object.fromEntries(verbs.map((verb) => [verb, answer(verb)])), close } as unknown as Cloud;
}
