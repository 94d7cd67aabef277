import assert from 'node:assert/strict';
import { joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  aws: { tags: { 'ecs-node:cluster': 'tagged', 'ecs-node:name': 'web {shortId}' }, clusters: ['tagged'] },
  async live(world) {
    world.machine.start();
    await joins(world, 'tagged');
    assert.match(world.aws.tags()['Name'] ?? '', /^web [0-9a-f]+$/);
  },
};
