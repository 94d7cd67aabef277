import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  image: 'stock',
  async live(world) {
    const { machine } = world;
    machine.start();
    await joins(world);
    const left = (await machine.run('/usr/bin/ls', '/var/tmp')).stdout.split('\n');
    assert.deepEqual(
      left.filter((name) => name.startsWith('ecs-node.')),
      [],
      'the download is still there',
    );
    // The next boot needs no download: the units are enabled.
    await machine.run('/usr/bin/systemctl', 'reboot');
    await world.until('ECS starts again', () => world.aws.ecsStarts().length === 2);
  },
};
