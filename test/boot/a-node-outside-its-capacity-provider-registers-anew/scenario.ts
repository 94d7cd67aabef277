import assert from 'node:assert/strict';
import { deadly, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

/** A new stack makes its capacity provider after its first nodes. */
export const scenario: Scenario = {
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    await joins(world);
    const before = aws.containerInstance('prod');
    assert.equal(before?.capacityProvider, undefined);
    aws.createCapacityProvider('prod', 'nodes');
    const tells = (text: string) => async () => {
      const { stdout } = await machine.run('/usr/bin/ecs-node', 'status');
      return stdout.includes(text);
    };
    // The next look may follow two minutes after the last.
    await until('a look finds it outside', tells('capacity provider nodes'));
    // ECS must have it outside at a second look, 75 to 80 s later.
    await until('the node is in the provider', () => aws.containerInstance('prod')?.capacityProvider === 'nodes');
    await joins(world);
    assert.notEqual(aws.containerInstance('prod')?.arn, before?.arn);
    assert.equal(aws.ecsStarts().length, 2);
    await until('status tells it', tells('now in nodes'));
    const calls = aws.calls().filter(({ operation }) => deadly.includes(operation));
    assert.deepEqual(
      calls.map(({ operation, params }) => `${operation} ${String(params['containerInstance'])}`),
      [`DeregisterContainerInstance ${before?.arn}`],
    );
    assert.equal(machine.isRunning, true);
  },
};
