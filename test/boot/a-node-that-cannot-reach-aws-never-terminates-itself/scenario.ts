import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  // Connections are accepted and never answered, as behind a firewall that drops packets.
  aws: { endpoint: 'silent', hooks: true },
  async live(world) {
    const { aws, machine, until } = world;
    machine.start();
    // The bootstrap needs no answer of AWS: the name tag and the registrar may come later.
    await until('the ECS agent is started', () => aws.ecsStarts().length > 0);
    // Longer than join.timeoutSeconds, which ends a node only if ECS answers.
    await pause(45_000);
    harmedNobody(world);
    assert.equal(aws.lifecycleState(), 'Pending:Wait');
    aws.openEndpoint();
    await until('its launch hook is completed', () => aws.completedHooks().length > 0);
    assert.deepEqual(aws.completedHooks(), ['ecs-node-launch CONTINUE']);
    await joins(world);
    harmedNobody(world);
  },
};
