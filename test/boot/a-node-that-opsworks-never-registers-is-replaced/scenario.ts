import assert from 'node:assert/strict';
import { isOnConsole } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { opsworks: true, hooks: true, settings: { opsworks: { registersAs: 'never' } } },
  async live({ aws, machine, until }) {
    machine.start();
    await until('the group is told to replace it', () => aws.isDoomed());
    await machine.stopped();
    assert.deepEqual(aws.ecsStarts(), []);
    assert.equal(aws.opsworksRecords(), 0, 'it left a record behind');
    await isOnConsole({ machine }, /ecs-node: .*regist/);
  },
};
