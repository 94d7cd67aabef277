import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { isOnConsole, skippedEcs } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  image: 'stock',
  async live({ aws, machine, release, tamper, until }) {
    const archive = (await readdir(release)).find((name) => name.endsWith('.tar.xz'))!;
    await tamper(archive, (bytes) => void bytes.write('not what was signed', 5_000));
    machine.start();
    await until(
      'cloud-init is done',
      async () => (await machine.readUnit('cloud-final.service'))['SubState'] === 'failed',
    );
    await until('the start of ecs is skipped', async () => (await skippedEcs(machine)) === 1);
    assert.deepEqual(aws.ecsStarts(), []);
    assert.equal(await machine.readText('/usr/bin/ecs-node'), undefined);
    await isOnConsole({ machine }, /is not what SHA256SUMS says: nothing was installed/);
    // The same after a reboot, when cloud-init does not run user data again.
    await machine.run('/usr/bin/systemctl', 'reboot');
    await until('ecs is skipped again', async () => (await skippedEcs(machine)) === 2);
    assert.deepEqual(aws.ecsStarts(), []);
  },
};
