import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

const changes = /^(Register|Assign|Deregister|Create|Modify|Update|Terminate|Set|Complete|Put(?!MetricData))/;

export const scenario: Scenario = {
  aws: { opsworks: true },
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    await joins(world);
    const config = await machine.readText('/etc/ecs/ecs.config');
    const before = aws.calls().length;
    await machine.run('/usr/bin/systemctl', 'reboot');
    await until('ECS starts again', () => aws.ecsStarts().length === 2);
    await joins(world);
    const since = aws
      .calls()
      .slice(before)
      .map(({ operation }) => operation);
    assert.deepEqual(
      since.filter((operation) => changes.test(operation) && operation !== 'RegisterContainerInstance'),
      [],
    );
    assert.equal(await machine.readText('/etc/ecs/ecs.config'), config);
  },
};
