import assert from 'node:assert/strict';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    const { machine, until } = world;
    // The shipped unit has a minute.
    const faster = '[Service]\nWatchdogSec=4s\nTimeoutAbortSec=1s\nRestartSec=100ms\n';
    await machine.writeText('/etc/systemd/system/ecs-node.service.d/faster.conf', faster);
    machine.start();
    await joins(world);
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    const { MainPID, NRestarts } = await machine.readUnit('ecs-node.service');
    assert.equal(NRestarts, '0', 'a healthy agent was taken for a hung one');
    await machine.run('/usr/bin/kill', '-STOP', MainPID ?? '');
    await until('the watchdog has restarted it', async () => {
      const unit = await machine.readUnit('ecs-node.service');
      return unit['SubState'] === 'running' && unit['MainPID'] !== MainPID;
    });
    harmedNobody(world);
  },
};
