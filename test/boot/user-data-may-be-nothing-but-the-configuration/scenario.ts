import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    world.machine.start();
    await joins(world);
    assert.equal(world.aws.tags()['Name'], undefined, 'an empty name leaves the tag alone');
    // cloud-init does not know the text, says so, and goes on.
    assert.equal((await world.machine.readUnit('cloud-final.service'))['Result'], 'success');
  },
};
