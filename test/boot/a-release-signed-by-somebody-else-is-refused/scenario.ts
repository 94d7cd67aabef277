import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isOnConsole, skippedEcs } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  image: 'stock',
  async live({ aws, machine, release, tamper, until }) {
    // All checksums are right: an attacker on the mirror can compute them, but has another key.
    const sums = await readFile(join(release, 'SHA256SUMS'));
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
    await tamper('SHA256SUMS.sig', () => sign('sha256', sums, privateKey));
    machine.start();
    await until('the start of ecs is skipped', async () => (await skippedEcs(machine)) === 1);
    assert.deepEqual(aws.ecsStarts(), []);
    assert.equal(await machine.readText('/usr/bin/ecs-node'), undefined);
    await isOnConsole({ machine }, /is not signed by the key in this script: nothing was installed/);
  },
};
