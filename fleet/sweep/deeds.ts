/**
 * Looks again, right before each deed, and does it only where it is still so: two sweeps at once,
 * or a node that came back, change nothing.
 */

import { Refused, Unavailable } from '../../core/errors.ts';
import type { FleetContainerInstance, FleetNodes } from '../../core/fleet-nodes.ts';
import type { Clock } from '../../core/retry.ts';
import { missingTag, notTerminable, protectedBy } from './facts.ts';
import type { Deed, SweepFinding } from './findings.ts';

export interface DeedContext {
  fleet: FleetNodes;
  cluster: string;
  clock: Clock;
}

/** False: it is no longer so, and nothing was done. Throws Unavailable or Refused. */
export async function carryOut(
  context: DeedContext,
  { kind, instanceId }: SweepFinding,
  deed: Deed,
  signal: AbortSignal,
): Promise<boolean> {
  const { fleet, cluster, clock } = context;
  switch (deed.kind) {
    case 'mark':
      await fleet.mark(cluster, deed.arn, deed.mark, clock.now(), signal);
      return true;
    case 'unmark':
      await fleet.unmark(cluster, deed.arn, deed.marks, signal);
      return true;
    case 'tag-missing':
      await fleet.tagMachine(instanceId, missingTag, String(clock.now()), signal);
      return true;
    case 'untag-missing':
      await fleet.untagMachine(instanceId, missingTag, deed.value, signal);
      return true;
    case 'activate':
      return activate(context, instanceId, deed.arn, signal);
    case 'drain':
      return drain(context, instanceId, deed.arn, signal);
    case 'terminate':
      return terminate(context, instanceId, kind, signal);
    case 'clear-protection':
      return clearProtection(context, instanceId, signal);
    case 'deregister-container-instance':
      return deregisterContainerInstance(context, instanceId, deed.arn, signal);
    case 'deregister-record':
      return deregisterRecord(context, instanceId, deed.recordId, signal);
    case 'remove-name':
      return removeName(context, instanceId, deed.value, signal);
  }
}

type DeedFunction<T> = (context: DeedContext, instanceId: string, what: string, signal: AbortSignal) => Promise<T>;

const find: DeedFunction<FleetContainerInstance | undefined> = async ({ fleet, cluster }, instanceId, arn, signal) => {
  const found = await fleet.readContainerInstancesOf(cluster, instanceId, signal);
  return found.find((each) => each.arn === arn);
};

const drain: DeedFunction<boolean> = async (context, instanceId, arn, signal) => {
  const { fleet, cluster, clock } = context;
  if ((await whyNotTerminable(context, instanceId, signal)) !== undefined) return false;
  const now = await find(context, instanceId, arn, signal);
  if (now === undefined || now.status !== 'ACTIVE' || now.agentConnected) return false;
  // The note first: a node that is found draining without it would be taken for one that somebody
  // else drains.
  await fleet.mark(cluster, arn, 'drained', clock.now(), signal);
  await fleet.drain(cluster, arn, signal);
  return true;
};

const activate: DeedFunction<boolean> = async (context, instanceId, arn, signal) => {
  const { fleet, cluster } = context;
  const now = await find(context, instanceId, arn, signal);
  const member = await fleet.readMember(instanceId, signal);
  if (now?.status !== 'DRAINING' || !now.agentConnected || now.marks.drained === undefined) return false;
  if (member?.lifecycleState !== 'InService') return false;
  await fleet.activate(cluster, arn, signal);
  await fleet.unmark(cluster, arn, ['disconnected', 'draining', 'drained'], signal);
  return true;
};

/**
 * Of a node that ECS still does not know; or one that is DRAINING, and either forsaken by its agent
 * or without a task.
 */
const terminate: DeedFunction<boolean> = async (context, instanceId, kind, signal) => {
  const { fleet, cluster } = context;
  if ((await whyNotTerminable(context, instanceId, signal)) !== undefined) return false;
  const instances = await fleet.readContainerInstancesOf(cluster, instanceId, signal);
  const idle = ({ status, agentConnected, marks, runningTasks, pendingTasks }: FleetContainerInstance) =>
    status === 'DRAINING' && (marks.drained === undefined ? runningTasks + pendingTasks === 0 : !agentConnected);
  const isStillSo = kind === 'never-joined' ? instances.length === 0 : instances.length > 0 && instances.every(idle);
  if (!isStillSo) return false;
  await fleet.terminateInGroup(instanceId, signal);
  return true;
};

async function whyNotTerminable(
  { fleet }: DeedContext,
  instanceId: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [machine] = await fleet.readMachines([instanceId], signal);
  return notTerminable(machine, await fleet.readMember(instanceId, signal));
}

async function clearProtection({ fleet }: DeedContext, instanceId: string, signal: AbortSignal): Promise<boolean> {
  const [machine] = await fleet.readMachines([instanceId], signal);
  const member = await fleet.readMember(instanceId, signal);
  if (machine === undefined || member === undefined || protectedBy(machine, member) !== undefined) return false;
  if (!(await fleet.readTerminationProtection(instanceId, signal))) return false;
  await fleet.clearTerminationProtection(instanceId, signal);
  return true;
}

const deregisterContainerInstance: DeedFunction<boolean> = async (context, instanceId, arn, signal) => {
  if (!(await isStillGone(context, instanceId, signal))) return false;
  const now = await find(context, instanceId, arn, signal);
  if (now === undefined || now.agentConnected) return false;
  await context.fleet.deregisterContainerInstance(context.cluster, arn, signal);
  return true;
};

const deregisterRecord: DeedFunction<boolean> = async (context, instanceId, recordId, signal) => {
  const { fleet } = context;
  if (!(await isStillGone(context, instanceId, signal))) return false;
  const record = await fleet.readRecord(recordId, signal);
  if (record?.instanceId !== instanceId || record.status === 'deregistering') return false;
  try {
    await fleet.deregisterRecord(recordId, signal);
  } catch (error) {
    // OpsWorks may want it out of its layers first. Nobody is there to confirm that: a later run
    // does the rest.
    if (!(error instanceof Refused) || error.code !== 'ValidationException' || record.layerIds.length === 0)
      throw error;
    await fleet.unassignRecord(recordId, signal);
    throw new Unavailable('OpsWorks takes it out of its layers first; a later run deregisters it', { cause: error });
  }
  return true;
};

async function isStillGone({ fleet }: DeedContext, instanceId: string, signal: AbortSignal): Promise<boolean> {
  const [machine] = await fleet.readMachines([instanceId], signal);
  return machine === undefined || machine.state === 'terminated';
}

const removeName: DeedFunction<boolean> = async ({ fleet }, instanceId, name, signal) => {
  const [machine] = await fleet.readMachines([instanceId], signal);
  if (machine?.state !== 'stopped' || machine.tags['Name'] !== name) return false;
  if (protectedBy(machine, undefined) !== undefined || (await fleet.readMember(instanceId, signal)) !== undefined)
    return false;
  await fleet.untagMachine(instanceId, 'Name', name, signal);
  return true;
};
