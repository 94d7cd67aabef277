import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { opsworks: true, settings: { opsworks: { registeringMs: 8_000 } } },
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    await until('it has been registered', () => aws.opsworksRecords() === 1);
    await machine.run('/usr/bin/systemctl', 'reboot');
    await joins(world);
    // Registered once: the second boot found the registration that the first had begun.
    assert.equal(aws.opsworksRecords(), 1);
    assert.equal(aws.calls().filter((call) => call.operation === 'RegisterInstance').length, 1);
  },
};
