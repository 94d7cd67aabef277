import assert from 'node:assert/strict';
import { harmedNobody, isOnConsole, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  async live(world) {
    const { machine } = world;
    machine.start();
    await joins(world);
    harmedNobody(world);
    for (const step of ['ecs-config', 'hostname', 'name-tag', 'register', 'unprotect']) {
      await isOnConsole(world, new RegExp(`^ecs-node: ${step}: \\w+`, 'm'));
    }
    const journal = await machine.readJournal('ECS_NODE_LIFE=bootstrap');
    const steps = journal.filter((entry) => entry.MESSAGE.includes('step done'));
    assert.ok(steps.length >= 5, `${steps.length} steps in the journal`);
    assert.equal(steps[0]?.PRIORITY, '6', 'the journal knows the level');
  },
};
