import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    const { machine } = world;
    machine.start();
    await joins(world);
    assert.match((await machine.readText('/etc/ecs/ecs.config')) ?? '', /^ECS_RESERVED_MEMORY=256$/m);
    // cloud-init reads the other parts and ignores ours.
    assert.equal(await machine.readText('/var/tmp/somebody-else'), 'somebody else ran\n');
    assert.equal((await machine.readUnit('cloud-final.service'))['Result'], 'success');
  },
};
