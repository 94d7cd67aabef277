import { setTimeout as pause } from 'node:timers/promises';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  // AWS refuses signatures that are more than five minutes off. Its answers tell the right time.
  aws: { aheadMs: 3_600_000 },
  async live(world) {
    world.machine.start();
    await joins(world);
    await pause(3_000);
    harmedNobody(world);
  },
};
