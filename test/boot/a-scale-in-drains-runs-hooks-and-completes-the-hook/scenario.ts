import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

const hook = (note: string) => `#!/bin/sh\nenv | grep ^ECS_NODE_ | sort > /var/lib/ecs-node/${note}\n`;

export const scenario: Scenario = {
  aws: { hooks: true, tasks: 2 },
  async live(world) {
    const { aws, machine, until } = world;
    for (const moment of ['joined', 'leaving', 'left']) {
      await machine.writeText(`/etc/ecs-node/hooks.d/${moment}/10-note`, hook(`saw-${moment}`), 0o755);
    }
    machine.start();
    await joins(world);
    await until('it is in service', () => aws.lifecycleState() === 'InService');
    await until('its tasks run', () => aws.containerInstance('prod')?.tasks === 2);
    aws.scaleIn();
    await until('it drains', () => aws.containerInstance('prod')?.status === 'DRAINING');
    await until('the hook is completed', () => aws.completedHooks().includes('ecs-node-terminate CONTINUE'));
    assert.equal(aws.completedHooks().filter((name) => name.startsWith('ecs-node-terminate')).length, 1);
    await machine.stopped();
    for (const moment of ['joined', 'leaving', 'left']) {
      assert.match((await machine.readText(`/var/lib/ecs-node/saw-${moment}`)) ?? '', /ECS_NODE_/, moment);
    }
  },
};
