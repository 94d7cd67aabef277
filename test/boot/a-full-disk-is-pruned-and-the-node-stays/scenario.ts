import assert from 'node:assert/strict';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    const { aws, machine, until } = world;
    await machine.attachDisk('/var/lib/docker', 64);
    machine.start();
    await joins(world);
    // 40 MB of unused images and 20 MB of used ones, on 64 MB.
    await machine.run('/usr/bin/mkdir', '-p', '/var/lib/docker/unused-images');
    await machine.run('/usr/bin/dd', 'if=/dev/zero', 'of=/var/lib/docker/unused-images/a', 'bs=1M', 'count=40');
    await machine.run('/usr/bin/dd', 'if=/dev/zero', 'of=/var/lib/docker/used', 'bs=1M', 'count=40');
    await until('new tasks are kept away', () =>
      aws.calls().some(({ operation }) => operation === 'UpdateContainerInstancesState'),
    );
    await until(
      'images are pruned',
      async () => (await machine.run('/usr/bin/ls', '/var/lib/docker/unused-images')).stdout === '',
    );
    await until('it is ACTIVE again', () => aws.containerInstance('prod')?.status === 'ACTIVE');
    harmedNobody(world);
    assert.ok(aws.calls().some(({ operation }) => operation === 'UpdateContainerInstancesState'));
  },
};
