/** A simulated region as a sweep sees it, and the effect of the sweep's actions on its nodes. */

import type { FleetContainerInstance, FleetMachine, FleetNodes } from '../../../core/fleet/fleet-nodes.ts';
import type { FakeContainerInstance } from '../../fakes/cloud/cluster.ts';
import { fakeFleet, group, type FakeFleet } from '../../fakes/fleet-nodes.ts';
import { begin } from '../faults/causes.ts';
import type { Node } from '../world/node.ts';
import { note, type Region } from '../world/region.ts';

/** The fake keeps the sweep's notes; everything else is read from the region at each call. */
export function openRegionFleet(region: Region): FleetNodes {
  const fleet = fakeFleet();
  fleet.before = (call) => {
    const { fails } = region.faults.decide('a sweep', 'ecs', call);
    if (fails !== undefined) throw fails;
    copyFrom(region, fleet);
  };
  const recordOf = (arn: string) => region.cluster.instances.find((each) => each.arn === arn)!;
  const nodeOf = (id: string) => region.nodes.find((each) => each.id === id)!;
  return {
    ...fleet,
    async drain(cluster, arn, signal) {
      await fleet.drain(cluster, arn, signal);
      recordOf(arn).status = 'DRAINING';
      note(region, nodeOf(recordOf(arn).ec2InstanceId), 'a sweep drains it');
    },
    async activate(cluster, arn, signal) {
      await fleet.activate(cluster, arn, signal);
      recordOf(arn).status = 'ACTIVE';
    },
    async deregisterContainerInstance(cluster, arn, signal) {
      await fleet.deregisterContainerInstance(cluster, arn, signal);
      recordOf(arn).status = 'INACTIVE';
    },
    async clearTerminationProtection(id, signal) {
      await fleet.clearTerminationProtection(id, signal);
      nodeOf(id).instance.terminationProtection = false;
    },
    async terminateInGroup(id, signal) {
      await fleet.terminateInGroup(id, signal);
      const node = nodeOf(id);
      note(region, node, 'a sweep terminates it');
      begin(node, 'scale-in', region.clock.uptime());
      node.group?.begin('terminate');
    },
  };
}

function copyFrom(region: Region, fleet: FakeFleet): void {
  for (const map of [fleet.instances, fleet.members, fleet.machines]) map.clear();
  fleet.secondRecords = [];
  fleet.protectedIds.clear();
  for (const record of region.cluster.instances) {
    if (record.status === 'INACTIVE') continue;
    const node = region.nodes.find(({ id }) => id === record.ec2InstanceId);
    const shown = renderRecord(region, record, node);
    if (fleet.instances.has(shown.instanceId)) fleet.secondRecords.push(shown);
    else fleet.instances.set(shown.instanceId, shown);
  }
  for (const node of region.nodes) {
    fleet.machines.set(node.id, renderMachine(region, node));
    if (node.instance.terminationProtection) fleet.protectedIds.add(node.id);
    if (node.group === undefined || node.phase === 'gone') continue;
    const { lifecycleState, healthy, protectedFromScaleIn } = node.group;
    fleet.members.set(node.id, { instanceId: node.id, group, lifecycleState, healthy, protectedFromScaleIn });
  }
}

function renderRecord(
  region: Region,
  { arn, ec2InstanceId, status, agentConnected, attributes }: FakeContainerInstance,
  node: Node | undefined,
): FleetContainerInstance {
  const tasks = region.cluster.tasks.filter((task) => task.containerInstanceArn === arn);
  return {
    arn,
    instanceId: ec2InstanceId,
    status,
    agentConnected,
    agentVersion: '1.106.1',
    runningTasks: tasks.filter(({ lastStatus }) => lastStatus !== 'STOPPED').length,
    pendingTasks: 0,
    registeredAt: wallTimeOf(region, node?.launchedAt ?? 0),
    oldNotes: [],
    ...(attributes.size > 0 && { leavesSince: Math.max(...[...attributes.values()].map(Number)) }),
  };
}

function renderMachine(region: Region, node: Node): FleetMachine {
  return {
    instanceId: node.id,
    state: node.phase === 'gone' ? 'terminated' : node.phase === 'stopping' ? 'shutting-down' : 'running',
    zone: 'eu-west-1a',
    type: 'm7g.large',
    launchedAt: wallTimeOf(region, node.launchedAt),
    purchase: node.identity.purchase === 'spot' ? 'spot' : 'on-demand',
    tags: { ...node.instance.tags, 'aws:autoscaling:groupName': group },
  };
}

function wallTimeOf({ clock }: Region, uptime: number): number {
  return clock.now() - (clock.uptime() - uptime);
}
