import assert from 'node:assert/strict';
import { firstCalls, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { opsworks: true },
  async live(world) {
    const { aws, machine } = world;
    machine.start();
    await joins(world);
    assert.deepEqual(
      firstCalls(
        world,
        'RegisterContainerInstance',
        'AssignInstance',
        'RegisterInstance',
        'DescribeStackProvisioningParameters',
      ),
      ['DescribeStackProvisioningParameters', 'RegisterInstance', 'AssignInstance', 'RegisterContainerInstance'].filter(
        (name) => name !== 'RegisterContainerInstance' || aws.calls().some((call) => call.operation === name),
      ),
    );
    assert.equal(aws.isProtected(), false);
    assert.notEqual(await machine.readText('/etc/chef/ohai/hints/ec2.json'), undefined);
  },
};
