import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { openClient } from '../../docker/client.ts';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    const { aws, machine, until } = world;
    await machine.attachDisk('/var/lib/docker', 64);
    machine.start();
    await joins(world);
    const docker = await openClient(await machine.locate('/run/docker.sock'), dirname(machine.root));
    await docker.addImage('run:1', 1);
    await docker.addImage('oldest:1', 25);
    await docker.addImage('newest:1', 5);
    await docker.start('task', 'run:1');
    // A task's data, until ENOSPC. Without the oldest image, the disk is about half full.
    await machine.run('/usr/bin/dd', 'if=/dev/zero', 'of=/var/lib/docker/data', 'bs=1M');
    const placements = () =>
      aws
        .calls()
        .filter(({ operation }) => operation === 'UpdateContainerInstancesState')
        .map(({ params }) => params['status']);
    await until('new tasks are kept away', () => placements().includes('DRAINING'));
    await until('it is ACTIVE again', () => placements().at(-1) === 'ACTIVE');
    assert.deepEqual(await docker.images(), ['newest:1', 'run:1']);
    assert.equal(await docker.isRunning('task'), true);
    assert.equal(aws.containerInstance('prod')?.status, 'ACTIVE');
    harmedNobody(world);
  },
};
