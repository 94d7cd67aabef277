import assert from 'node:assert/strict';
import { harmedNobody } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  // Connections are accepted and never answered, as behind a firewall that drops packets.
  aws: { endpoint: 'silent' },
  async live(world) {
    const { machine, until } = world;
    machine.start();
    await until(
      'bootstrap is run for the second time',
      async () => Number((await machine.readUnit('ecs-node-bootstrap.service'))['NRestarts']) >= 1,
      70,
    );
    const failures = await machine.readJournal('UNIT=ecs-node-bootstrap.service', '--grep=status=');
    for (const { MESSAGE } of failures) assert.match(MESSAGE, /status=75\/TEMPFAIL/);
    harmedNobody(world);
    assert.deepEqual(world.aws.ecsStarts(), []);
  },
};
