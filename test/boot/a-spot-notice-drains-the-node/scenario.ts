import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { hooks: true, spot: true },
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    await joins(world);
    await until('it is in service', () => aws.lifecycleState() === 'InService');
    aws.interruptSpot();
    await until('it drains', () => aws.containerInstance('prod')?.status === 'DRAINING');
    await until('the console says why', async () => /ecs-node: .*spot/i.test(await machine.readConsole()));
    const told = await machine.readJournal('--unit=ecs-node', 'ECS_NODE_CAUSE=spot', 'ECS_NODE_LIFE=agent');
    assert.ok(told.length > 0, 'journald finds the departure by its cause, as an entry of the unit');
  },
};
