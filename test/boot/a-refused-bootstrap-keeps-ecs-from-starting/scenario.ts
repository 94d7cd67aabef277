import assert from 'node:assert/strict';
import { harmedNobody, staysOut } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { opsworks: true, settings: { opsworks: { installer: 'refused' } } },
  async live(world) {
    world.machine.start();
    await staysOut(world, 77);
    // systemd must not retry after a refusal.
    assert.equal((await world.machine.readUnit('ecs-node-bootstrap.service'))['NRestarts'], '0');
    assert.equal((await world.machine.readUnit('ecs-node-bootstrap.service'))['SubState'], 'failed');
    harmedNobody(world);
  },
};
