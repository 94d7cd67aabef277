/** The contract of the commands for a fleet's nodes, for every stand-in for AWS. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FleetNodes } from '../../../core/fleet/fleet-nodes.ts';

/** Three nodes in one group, all of them in the cluster. */
export interface FleetStage {
  fleet: FleetNodes;
  cluster: string;
  group: string;
  ids: string[];
  protect(instanceId: string): Promise<void>;
  tag(instanceId: string, key: string, value: string): Promise<void>;
  /** Registers the instance in a second cluster, and returns its name. */
  registerElsewhere(instanceId: string): Promise<string>;
  report(instanceId: string, usedPercent: number): Promise<void>;
  /** Lets some time pass between two reads. */
  pause(): Promise<void>;
  close(): Promise<void>;
}

const { signal } = new AbortController();
const unknown = 'i-0123456789abcdef0';

/**
 * `gaps`: the differences of a third-party stand-in from AWS, by the test's title. The test is
 * skipped there, and the value is the reason.
 */
export function describeFleetNodes(
  name: string,
  open: () => Promise<FleetStage>,
  gaps: Readonly<Record<string, string>> = {},
): void {
  describe(`fleet: ${name}`, () => {
    let stage: FleetStage;
    beforeEach(async ({ task, skip }) => {
      skip(task.name in gaps, gaps[task.name]);
      stage = await open();
    });
    afterEach(async () => stage?.close());

    test('container instances are read all at once, and one by one', async () => {
      const { fleet, cluster, ids } = stage;
      const all = await fleet.readContainerInstances(cluster, signal);
      expect(all.map(({ instanceId }) => instanceId).toSorted()).toEqual(ids.toSorted());
      expect(all[0]).toMatchObject({
        status: 'ACTIVE',
        agentConnected: true,
        runningTasks: 0,
        pendingTasks: 0,
        oldNotes: [],
      });
      expect(all[0]).not.toHaveProperty('leavesSince');
      expect(await fleet.readContainerInstanceCount(cluster, signal)).toBe(ids.length);
      expect(all[0]!.registeredAt).toBeGreaterThan(Date.now() - 3_600_000);
      const [one, ...others] = await fleet.readContainerInstancesOf(cluster, ids[1]!, signal);
      expect({ one: one!.instanceId, others }).toEqual({ one: ids[1], others: [] });
      expect(await fleet.readContainerInstancesOf(cluster, unknown, signal)).toEqual([]);
    });

    test('an instance is found in another cluster', async () => {
      const { fleet, cluster, ids, registerElsewhere } = stage;
      expect(await fleet.readOtherClusterOf(cluster, ids[0]!, signal)).toBeUndefined();
      const other = await registerElsewhere(ids[1]!);
      expect(await fleet.readOtherClusterOf(cluster, ids[1]!, signal)).toBe(other);
    });

    test('an instance is not found in a cluster that has only another one', async () => {
      const { fleet, cluster, ids, registerElsewhere } = stage;
      await registerElsewhere(ids[1]!);
      for (const id of [ids[0]!, unknown]) {
        expect(await fleet.readOtherClusterOf(cluster, id, signal)).toBeUndefined();
      }
    });

    test('a missing cluster and a missing group are refused', async () => {
      const { fleet } = stage;
      await expect(fleet.readContainerInstances('none', signal)).rejects.toMatchObject({ name: 'Refused' });
      await expect(fleet.readContainerInstanceCount('none', signal)).rejects.toMatchObject({ name: 'Refused' });
      await expect(fleet.readGroups(['none'], signal)).rejects.toMatchObject({ name: 'Refused' });
    });

    test('members are read all at once, and one by one', async () => {
      const { fleet, group, ids } = stage;
      const [found] = await fleet.readGroups([group], signal);
      const all = found!.members;
      expect(found).toMatchObject({ name: group, notes: [] });
      expect(all.map(({ instanceId }) => instanceId).toSorted()).toEqual(ids.toSorted());
      const member = { group, lifecycleState: 'InService', healthy: true, protectedFromScaleIn: false };
      expect(all[0]).toMatchObject(member);
      expect(await fleet.readMember(ids[0]!, signal)).toEqual({ ...member, instanceId: ids[0] });
      expect(await fleet.readMember(unknown, signal)).toBeUndefined();
    });

    test('instances are read by group and by id, without those that EC2 does not know', async () => {
      const { fleet, group, ids } = stage;
      const byGroup = await fleet.readMachinesOfGroups([group], signal);
      const byId = await fleet.readMachines([...ids, unknown], signal);
      for (const found of [byGroup, byId]) {
        expect(found.map(({ instanceId }) => instanceId).toSorted()).toEqual(ids.toSorted());
        expect(found[0]).toMatchObject({ state: 'running', purchase: 'on-demand' });
        expect(found[0]!.tags['aws:autoscaling:groupName']).toBe(group);
      }
      expect(byId[0]!.launchedAt).toBeGreaterThan(Date.now() - 3_600_000);
    });

    test('one instance is read by its id, and only "does not exist" counts as gone', async () => {
      const { fleet, ids } = stage;
      expect(await fleet.readMachine(ids[0]!, signal)).toMatchObject({ instanceId: ids[0], state: 'running' });
      expect(await fleet.readMachine(unknown, signal)).toBeUndefined();
    });

    test('an instance is found by the pattern of its Name, which is removed only while it has that value', async () => {
      const { fleet, ids, tag } = stage;
      const [id = ''] = ids;
      await tag(id, 'Name', 'prod ECS - web*1');
      const named = () => fleet.readMachinesNamed('prod ECS - *', signal);
      expect((await named()).map(({ instanceId }) => instanceId)).toEqual([id]);
      await fleet.untagMachine(id, 'Name', 'another', signal);
      expect(await named()).toHaveLength(1);
      await fleet.untagMachine(id, 'Name', 'prod ECS - web*1', signal);
      expect(await named()).toEqual([]);
    });

    test('the group keeps a note, which can be replaced and removed', async () => {
      const { fleet, group, ids } = stage;
      const read = async () => (await fleet.readGroups([group], signal))[0]!.notes;
      const note = { instanceId: ids[0]!, group, kind: 'disconnected', since: 1_700_000_000_000 } as const;
      await fleet.writeNote(note, signal);
      expect(await read()).toEqual([note]);
      const drained = { ...note, kind: 'drained', since: 1_700_000_000_001 } as const;
      await fleet.writeNote(drained, signal);
      expect(await read()).toEqual([drained]);
      await fleet.writeNote({ ...drained, seen: 1_700_000_000_002 }, signal);
      expect(await read()).toEqual([{ ...drained, seen: 1_700_000_000_002 }]);
      for (const times of [1, 2]) {
        await fleet.removeNote(group, ids[0]!, signal);
        expect([times, await read()]).toEqual([times, []]);
      }
    });

    test('a node can be drained, and set ACTIVE again', async () => {
      const { fleet, cluster, ids } = stage;
      const read = async () => (await fleet.readContainerInstancesOf(cluster, ids[0]!, signal))[0]!;
      const { arn } = await read();
      for (const times of [1, 2]) {
        await fleet.drain(cluster, arn, signal);
        expect([times, (await read()).status]).toEqual([times, 'DRAINING']);
      }
      await fleet.activate(cluster, arn, signal);
      expect((await read()).status).toBe('ACTIVE');
    });

    test('a container instance can be deregistered', async () => {
      const { fleet, cluster, ids } = stage;
      const [own] = await fleet.readContainerInstancesOf(cluster, ids[0]!, signal);
      await fleet.deregisterContainerInstance(cluster, own!.arn, signal);
      const left = (await fleet.readContainerInstances(cluster, signal)).map(({ instanceId }) => instanceId);
      expect(left.toSorted()).toEqual(ids.slice(1).toSorted());
    });

    test('termination protection can be read and cleared', async () => {
      const { fleet, protect, ids } = stage;
      const [id = ''] = ids;
      expect(await fleet.readTerminationProtection(id, signal)).toBe(false);
      await protect(id);
      expect(await fleet.readTerminationProtection(id, signal)).toBe(true);
      await fleet.clearTerminationProtection(id, signal);
      expect(await fleet.readTerminationProtection(id, signal)).toBe(false);
      expect(await fleet.readTerminationProtection(unknown, signal)).toBe(false);
    });

    test('a node that terminates through its group is no longer in service', async () => {
      const { fleet, group, ids, pause } = stage;
      await fleet.terminateInGroup(ids[0]!, signal);
      const isInService = async () => {
        const [found] = await fleet.readGroups([group], signal);
        return found!.members.some(
          ({ instanceId, lifecycleState }) => instanceId === ids[0] && lifecycleState === 'InService',
        );
      };
      for (let reads = 0; reads < 500 && (await isInService()); reads++) await pause();
      expect(await isInService()).toBe(false);
    });

    test('reports the fullest disk of a node, and no disk of other nodes', async () => {
      const { fleet, report, ids } = stage;
      await report(ids[0]!, 42);
      await report(ids[1]!, 91);
      const [own, ...others] = await fleet.readReports('System/Linux', [ids[1]!, ids[2]!], Date.now() + 1_000, signal);
      expect({ ...own, at: 0, others }).toEqual({ instanceId: ids[1], usedPercent: 91, at: 0, others: [] });
      expect(own!.at).toBeGreaterThan(Date.now() - 600_000);
    });
  });
}
