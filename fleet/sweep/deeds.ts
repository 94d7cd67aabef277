/** Looks again, right before each deed, and does it only where it is still so: two sweeps at once, or a node that came back, change nothing. */

import { Refused, Unavailable } from '../../core/errors.ts';
import type { FleetContainerInstance, FleetNodes } from '../../core/fleet-nodes.ts';
import type { Clock } from '../../core/patience.ts';
import { missingTag, notEndable, protectedBy } from './facts.ts';
import type { Deed, Finding } from './findings.ts';

export interface Doing {
  fleet: FleetNodes;
  cluster: string;
  clock: Clock;
}

/** False: it is no longer so, and nothing was done. Throws Unavailable or Refused. */
export async function act(
  doing: Doing,
  { kind, instanceId }: Finding,
  deed: Deed,
  signal: AbortSignal,
): Promise<boolean> {
  const { fleet, cluster, clock } = doing;
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
      return activate(doing, instanceId, deed.arn, signal);
    case 'drain':
      return drain(doing, instanceId, deed.arn, signal);
    case 'terminate':
      return terminate(doing, instanceId, kind, signal);
    case 'clear-protection':
      return clearProtection(doing, instanceId, signal);
    case 'deregister-container-instance':
      return deregisterContainerInstance(doing, instanceId, deed.arn, signal);
    case 'deregister-record':
      return deregisterRecord(doing, instanceId, deed.recordId, signal);
    case 'remove-name':
      return removeName(doing, instanceId, deed.value, signal);
  }
}

type Of<T> = (doing: Doing, instanceId: string, what: string, signal: AbortSignal) => Promise<T>;

const find: Of<FleetContainerInstance | undefined> = async ({ fleet, cluster }, instanceId, arn, signal) => {
  const found = await fleet.readContainerInstancesOf(cluster, instanceId, signal);
  return found.find((each) => each.arn === arn);
};

const drain: Of<boolean> = async (doing, instanceId, arn, signal) => {
  const { fleet, cluster, clock } = doing;
  if ((await whyNotEndable(doing, instanceId, signal)) !== undefined) return false;
  const now = await find(doing, instanceId, arn, signal);
  if (now === undefined || now.status !== 'ACTIVE' || now.agentConnected) return false;
  // The note first: a node that is found draining without it would be taken for one that somebody else drains.
  await fleet.mark(cluster, arn, 'drained', clock.now(), signal);
  await fleet.drain(cluster, arn, signal);
  return true;
};

const activate: Of<boolean> = async (doing, instanceId, arn, signal) => {
  const { fleet, cluster } = doing;
  const now = await find(doing, instanceId, arn, signal);
  const member = await fleet.readMember(instanceId, signal);
  if (now?.status !== 'DRAINING' || !now.agentConnected || now.marks.drained === undefined) return false;
  if (member?.lifecycleState !== 'InService') return false;
  await fleet.activate(cluster, arn, signal);
  await fleet.unmark(cluster, arn, ['disconnected', 'draining', 'drained'], signal);
  return true;
};

/** Of a node that ECS still does not know; or one that is DRAINING, and either forsaken by its agent or without a task. */
const terminate: Of<boolean> = async (doing, instanceId, kind, signal) => {
  const { fleet, cluster } = doing;
  if ((await whyNotEndable(doing, instanceId, signal)) !== undefined) return false;
  const instances = await fleet.readContainerInstancesOf(cluster, instanceId, signal);
  const idle = ({ status, agentConnected, marks, runningTasks, pendingTasks }: FleetContainerInstance) =>
    status === 'DRAINING' && (marks.drained === undefined ? runningTasks + pendingTasks === 0 : !agentConnected);
  const isStillSo = kind === 'never-joined' ? instances.length === 0 : instances.length > 0 && instances.every(idle);
  if (!isStillSo) return false;
  await fleet.terminateInGroup(instanceId, signal);
  return true;
};

async function whyNotEndable({ fleet }: Doing, instanceId: string, signal: AbortSignal): Promise<string | undefined> {
  const [machine] = await fleet.readMachines([instanceId], signal);
  return notEndable(machine, await fleet.readMember(instanceId, signal));
}

async function clearProtection({ fleet }: Doing, instanceId: string, signal: AbortSignal): Promise<boolean> {
  const [machine] = await fleet.readMachines([instanceId], signal);
  const member = await fleet.readMember(instanceId, signal);
  if (machine === undefined || member === undefined || protectedBy(machine, member) !== undefined) return false;
  if (!(await fleet.readTerminationProtection(instanceId, signal))) return false;
  await fleet.clearTerminationProtection(instanceId, signal);
  return true;
}

const deregisterContainerInstance: Of<boolean> = async (doing, instanceId, arn, signal) => {
  if (!(await isStillGone(doing, instanceId, signal))) return false;
  const now = await find(doing, instanceId, arn, signal);
  if (now === undefined || now.agentConnected) return false;
  await doing.fleet.deregisterContainerInstance(doing.cluster, arn, signal);
  return true;
};

const deregisterRecord: Of<boolean> = async (doing, instanceId, recordId, signal) => {
  const { fleet } = doing;
  if (!(await isStillGone(doing, instanceId, signal))) return false;
  const record = await fleet.readRecord(recordId, signal);
  if (record?.instanceId !== instanceId || record.status === 'deregistering') return false;
  try {
    await fleet.deregisterRecord(recordId, signal);
  } catch (error) {
    // OpsWorks may want it out of its layers first. Nobody is there to confirm that: a later run does the rest.
    if (!(error instanceof Refused) || error.code !== 'ValidationException' || record.layerIds.length === 0)
      throw error;
    await fleet.unassignRecord(recordId, signal);
    throw new Unavailable('OpsWorks takes it out of its layers first; a later run deregisters it', { cause: error });
  }
  return true;
};

async function isStillGone({ fleet }: Doing, instanceId: string, signal: AbortSignal): Promise<boolean> {
  const [machine] = await fleet.readMachines([instanceId], signal);
  return machine === undefined || machine.state === 'terminated';
}

const removeName: Of<boolean> = async ({ fleet }, instanceId, name, signal) => {
  const [machine] = await fleet.readMachines([instanceId], signal);
  if (machine?.state !== 'stopped' || machine.tags['Name'] !== name) return false;
  if (protectedBy(machine, undefined) !== undefined || (await fleet.readMember(instanceId, signal)) !== undefined)
    return false;
  await fleet.untagMachine(instanceId, 'Name', name, signal);
  return true;
};
