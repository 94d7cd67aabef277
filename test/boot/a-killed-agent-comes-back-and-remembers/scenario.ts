import assert from 'node:assert/strict';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    await joins(world);
    const before = (await machine.readUnit('ecs-node.service'))['MainPID'] ?? '';
    await machine.run('/usr/bin/kill', '-9', before);
    await until('another one runs', async () => {
      const { MainPID, SubState } = await machine.readUnit('ecs-node.service');
      return SubState === 'running' && MainPID !== before && MainPID !== '0';
    });
    harmedNobody(world);
    assert.equal(aws.ecsStarts().length, 1, 'ecs was restarted with it');
    assert.equal((await machine.readUnit('ecs-node-bootstrap.service'))['NRestarts'], '0');
  },
};
