import assert from 'node:assert/strict';
import { harmedNobody, isOnConsole, staysOut } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    world.machine.start();
    // Without ecs-node this machine would have joined the cluster "default".
    await staysOut(world, 78);
    harmedNobody(world);
    assert.equal(await world.machine.readText('/var/tmp/somebody-else'), '');
    await isOnConsole(world, /cluster/);
  },
};
