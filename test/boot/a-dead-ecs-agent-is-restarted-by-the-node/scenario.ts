import assert from 'node:assert/strict';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    await joins(world);
    await machine.run('/usr/bin/systemctl', 'stop', 'ecs.service');
    assert.equal(aws.ecsStarts().length, 1);
    await until('it runs again', () => aws.ecsStarts().length === 2);
    await joins(world);
    harmedNobody(world);
  },
};
