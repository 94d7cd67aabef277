import assert from 'node:assert/strict';
import { harmedNobody, isOnConsole, staysOut } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    const { aws, machine } = world;
    machine.start();
    await staysOut(world, 78);
    harmedNobody(world);
    assert.equal(await machine.readText('/etc/ecs/ecs.config'), undefined);
    assert.equal(await machine.readText('/etc/ecs-node/config.yaml'), undefined);
    assert.deepEqual(aws.calls(), []);
    // cloud-init's log, which is also on the console, shows every fault at once.
    await isOnConsole(world, /no such name[\s\S]*disk\.fullPercent/);
    const { NRestarts, SubState } = await machine.readUnit('ecs-node-bootstrap.service');
    assert.deepEqual([NRestarts, SubState], ['0', 'failed']);
  },
};
