import assert from 'node:assert/strict';
import { firstCalls, isOnConsole, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { hooks: true },
  async live(world) {
    const { aws, machine, until } = world;
    await machine.attachDisk('/var/lib/docker', 64);
    machine.start();
    await joins(world);
    await until('it is in service', () => aws.lifecycleState() === 'InService');
    // Until ENOSPC: the node's own files are on this disk, too.
    await machine.run('/usr/bin/dd', 'if=/dev/zero', 'of=/var/lib/docker/used', 'bs=1M');
    await until('the group is told to replace it', () => aws.isDoomed());
    assert.deepEqual(firstCalls(world, 'TerminateInstanceInAutoScalingGroup', 'UpdateContainerInstancesState'), [
      'UpdateContainerInstancesState',
      'TerminateInstanceInAutoScalingGroup',
    ]);
    await machine.stopped();
    await isOnConsole(world, /ecs-node: .*disk/i);
  },
};
