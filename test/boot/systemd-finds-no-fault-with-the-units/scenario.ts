import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

const units = ['ecs-node-bootstrap.service', 'ecs-node.service', 'ecs.service'];

export const scenario: Scenario = {
  async live(world) {
    const { machine } = world;
    machine.start();
    await joins(world);
    const verified = await machine.run('/usr/bin/systemd-analyze', 'verify', '--man=no', ...units);
    assert.deepEqual(verified, { code: 0, stdout: '', stderr: '' });
    // The exposure level must not exceed 3.0.
    const secure = await machine.run('/usr/bin/systemd-analyze', 'security', '--threshold=30', 'ecs-node.service');
    assert.equal(secure.code, 0, secure.stdout);
    // systemd breaks a cycle by dropping one of its jobs.
    assert.deepEqual(await machine.readJournal('--grep=ordering cycle'), []);
    const failed = await machine.run('/usr/bin/systemctl', '--failed', '--plain', '--no-legend');
    assert.equal(failed.stdout, '');
    for (const unit of units.slice(0, 2)) {
      const { UnitFileState, UnitFilePreset } = await machine.readUnit(unit);
      assert.deepEqual([unit, UnitFileState, UnitFilePreset], [unit, 'enabled', 'enabled']);
    }
  },
};
