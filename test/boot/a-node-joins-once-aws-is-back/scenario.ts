import assert from 'node:assert/strict';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { endpoint: 'silent' },
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    // systemd does not repeat the failed start of ecs. The bootstrap's next start must ask for it.
    await until(
      'the first bootstrap has failed',
      async () => (await machine.readJournal('UNIT=ecs-node-bootstrap.service', '--grep=status=75')).length === 1,
    );
    assert.deepEqual(aws.ecsStarts(), []);
    aws.openEndpoint();
    await joins(world);
    harmedNobody(world);
  },
};
