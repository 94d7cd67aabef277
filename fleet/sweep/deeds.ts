/**
 * Reads again right before each deed, and acts only if it is still so. So two sweeps at once, or a
 * node that came back, do no harm.
 */

import { Refused, Unavailable } from '../../core/errors.ts';
import type { FleetContainerInstance, FleetMachine, FleetMember, FleetNodes } from '../../core/fleet/fleet-nodes.ts';
import type { Clock } from '../../core/retry.ts';
import { separateRecords } from '../survey.ts';
import {
  livesInGroup,
  mayBeInUse,
  notTerminable,
  oldMissingTag,
  otherClusterInName,
  otherClusterOf,
  protectedBy,
} from './facts.ts';
import type { Deed, SweepFinding } from './findings.ts';

export interface DeedContext {
  fleet: FleetNodes;
  cluster: string;
  namePattern: string;
  clock: Clock;
}

/** False: it is no longer so, and nothing was done. Throws Unavailable or Refused. */
export async function carryOut(
  context: DeedContext,
  finding: SweepFinding,
  deed: Deed,
  signal: AbortSignal,
): Promise<boolean> {
  const { fleet, cluster, clock } = context;
  const { instanceId } = finding;
  switch (deed.kind) {
    case 'note':
      await fleet.writeNote({ instanceId, group: deed.group, kind: deed.note, since: clock.now() }, signal);
      return true;
    case 'forget':
      await fleet.removeNote(deed.group, instanceId, signal);
      return true;
    case 'remove-old-notes':
      await fleet.removeOldNotes(cluster, deed.arn, deed.names, signal);
      return true;
    case 'remove-old-tag':
      await fleet.untagMachine(instanceId, oldMissingTag, deed.value, signal);
      return true;
    case 'activate':
      return activate(context, finding, deed, signal);
    case 'drain':
      return drain(context, finding, deed, signal);
    case 'terminate':
      return terminate(context, finding, signal);
    case 'clear-protection':
      return clearProtection(context, instanceId, deed, signal);
    case 'deregister-container-instance':
      if (!(await isGone(context, instanceId, signal))) return false;
      return deregisterContainerInstance(context, finding, deed, signal);
    case 'deregister-stale':
      return deregisterContainerInstance(context, finding, deed, signal);
    case 'deregister-record':
      return deregisterRecord(context, instanceId, deed.recordId, signal);
    case 'remove-name':
      return removeName(context, instanceId, deed.value, signal);
  }
}

interface Fresh {
  machine: FleetMachine | undefined;
  member: FleetMember | undefined;
  /** All that ECS has of the instance. */
  records: FleetContainerInstance[];
}

async function readAgain({ fleet, cluster }: DeedContext, id: string, signal: AbortSignal): Promise<Fresh> {
  const machine = await fleet.readMachine(id, signal);
  const member = await fleet.readMember(id, signal);
  // Last: what ECS says about the connection is the most likely to change.
  const records = await fleet.readContainerInstancesOf(cluster, id, signal);
  return { machine, member, records };
}

interface OnNode {
  arn: string;
  group: string;
}

/**
 * Whether ECS still says what the deed rests on, by all its records of the instance. A drain: the
 * same record is ACTIVE and not connected. ACTIVE: the same record is DRAINING and connected, and
 * neither its node nor a person has drained it. A deregistration: no record is connected, or the
 * stale record is still not in use. A termination: ECS still has no record of the node; or it is
 * DRAINING and, depending on the party that drained it, its ECS agent is not connected or it has no
 * task. Termination protection does not rest on ECS.
 */
export function isStillSo(
  { kind, deed }: Pick<SweepFinding, 'kind' | 'deed'>,
  records: readonly FleetContainerInstance[],
): boolean {
  const {
    real: [real],
    stale,
  } = separateRecords(records);
  if (deed?.kind === 'drain') return real?.arn === deed.arn && real.status === 'ACTIVE' && !real.agentConnected;
  if (deed?.kind === 'activate') {
    if (real?.arn !== deed.arn || real.status !== 'DRAINING' || !real.agentConnected) return false;
    return real.leavesSince === undefined;
  }
  if (deed?.kind === 'clear-protection') return true;
  if (deed?.kind === 'deregister-container-instance')
    return records.some(({ arn }) => arn === deed.arn) && !records.some(({ agentConnected }) => agentConnected);
  if (deed?.kind === 'deregister-stale') return stale.some((each) => each.arn === deed.arn && !mayBeInUse(each, real));
  if (kind === 'never-joined') return real === undefined;
  if (real?.status !== 'DRAINING') return false;
  return kind === 'disconnected' ? !real.agentConnected : real.runningTasks + real.pendingTasks === 0;
}

async function drain(
  context: DeedContext,
  finding: SweepFinding,
  { arn, group }: OnNode,
  signal: AbortSignal,
): Promise<boolean> {
  const { fleet, cluster, clock } = context;
  const { instanceId: id } = finding;
  const { machine, member, records } = await readAgain(context, id, signal);
  if (notTerminable(machine, member) !== undefined) return false;
  if (!isStillSo(finding, records)) return false;
  // The note first. Without it, a later sweep would believe that somebody else drained the node.
  await fleet.writeNote({ instanceId: id, group, kind: 'drained', since: clock.now() }, signal);
  await fleet.drain(cluster, arn, signal);
  return true;
}

async function activate(
  context: DeedContext,
  finding: SweepFinding,
  { arn, group }: OnNode,
  signal: AbortSignal,
): Promise<boolean> {
  const { fleet, cluster } = context;
  const { instanceId: id } = finding;
  const { machine, records } = await readAgain(context, id, signal);
  if (!isStillSo(finding, records)) return false;
  // Last: a node that its group is terminating must not get new tasks.
  const member = await fleet.readMember(id, signal);
  if (member?.lifecycleState !== 'InService' || protectedBy(machine, undefined) !== undefined) return false;
  await fleet.activate(cluster, arn, signal);
  await fleet.removeNote(group, id, signal);
  return true;
}

async function terminate(context: DeedContext, finding: SweepFinding, signal: AbortSignal): Promise<boolean> {
  const { fleet, cluster } = context;
  const { kind, instanceId } = finding;
  const neverJoined = kind === 'never-joined';
  if (neverJoined && (await fleet.readOtherClusterOf(cluster, instanceId, signal)) !== undefined) return false;
  const { machine, member, records } = await readAgain(context, instanceId, signal);
  if (notTerminable(machine, member) !== undefined) return false;
  const other = otherClusterOf(machine, cluster) ?? otherClusterInName(machine, context);
  if (neverJoined && other !== undefined) return false;
  if (!isStillSo(finding, records)) return false;
  await fleet.terminateInGroup(instanceId, signal);
  return true;
}

async function clearProtection(
  { fleet }: DeedContext,
  instanceId: string,
  { isLeaving }: { isLeaving: boolean },
  signal: AbortSignal,
): Promise<boolean> {
  const machine = await fleet.readMachine(instanceId, signal);
  const member = await fleet.readMember(instanceId, signal);
  if (machine === undefined || member === undefined || protectedBy(machine, member) !== undefined) return false;
  if (isLeaving && !member.lifecycleState.startsWith('Terminating')) return false;
  if (!(await fleet.readTerminationProtection(instanceId, signal))) return false;
  await fleet.clearTerminationProtection(instanceId, signal);
  return true;
}

/**
 * EC2 says of this instance alone that it is terminated or does not exist, and Auto Scaling does
 * not say that it lives.
 */
async function isGone({ fleet }: DeedContext, instanceId: string, signal: AbortSignal): Promise<boolean> {
  const machine = await fleet.readMachine(instanceId, signal);
  if (machine !== undefined && machine.state !== 'terminated') return false;
  return livesInGroup(await fleet.readMember(instanceId, signal)) === undefined;
}

async function deregisterContainerInstance(
  { fleet, cluster }: DeedContext,
  finding: SweepFinding,
  { arn }: { arn: string },
  signal: AbortSignal,
): Promise<boolean> {
  const records = await fleet.readContainerInstancesOf(cluster, finding.instanceId, signal);
  if (!isStillSo(finding, records)) return false;
  await fleet.deregisterContainerInstance(cluster, arn, signal);
  return true;
}

async function deregisterRecord(
  context: DeedContext,
  instanceId: string,
  recordId: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { fleet } = context;
  if (!(await isGone(context, instanceId, signal))) return false;
  const record = await fleet.readRecord(recordId, signal);
  if (record?.instanceId !== instanceId || record.status === 'deregistering') return false;
  try {
    await fleet.deregisterRecord(recordId, signal);
  } catch (error) {
    // OpsWorks may require that the record leaves its layers first. A later run does the rest.
    if (!(error instanceof Refused) || error.code !== 'ValidationException' || record.layerIds.length === 0)
      throw error;
    await fleet.unassignRecord(recordId, signal);
    throw new Unavailable('OpsWorks takes it out of its layers first; a later run deregisters it', { cause: error });
  }
  return true;
}

async function removeName(
  { fleet }: DeedContext,
  instanceId: string,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const machine = await fleet.readMachine(instanceId, signal);
  if (machine?.state !== 'stopped' || machine.tags['Name'] !== name) return false;
  if (protectedBy(machine, undefined) !== undefined) return false;
  if ((await fleet.readMember(instanceId, signal)) !== undefined) return false;
  await fleet.untagMachine(instanceId, 'Name', name, signal);
  return true;
}
