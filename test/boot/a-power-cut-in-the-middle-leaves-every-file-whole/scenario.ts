import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { opsworks: true, settings: { opsworks: { registeringMs: 8_000 } } },
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    await until('it has been registered', () => aws.opsworksRecords() === 1);
    await machine.cutPower();
    for (const path of ['/etc/ecs/ecs.config', '/etc/ecs-node/config.yaml']) {
      assert.match((await machine.readText(path)) ?? '', /prod/, path);
    }
    JSON.parse((await machine.readText('/var/lib/ecs-node/bootstrap.json')) ?? '');
    machine.start();
    await joins(world);
    assert.equal(aws.opsworksRecords(), 1);
    assert.equal((await machine.readText('/etc/ecs/ecs.config'))?.match(/^ECS_CLUSTER=/gm)?.length, 1);
  },
};
