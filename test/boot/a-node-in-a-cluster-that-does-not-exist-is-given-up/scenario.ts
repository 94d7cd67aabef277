import assert from 'node:assert/strict';
import { isOnConsole } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { hooks: true },
  async live({ aws, machine, until }) {
    machine.start();
    await until('ECS starts', () => aws.ecsStarts().length > 0);
    assert.deepEqual(aws.ecsStarts()[0], 'prodd');
    await until('the launch hook is abandoned, or the group told', () => aws.isDoomed());
    await machine.stopped();
    await isOnConsole({ machine }, /ecs-node: .*has not registered.*cluster/i);
  },
};
