import { setTimeout as pause } from 'node:timers/promises';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

export const scenario: Scenario = {
  // Without metadata cloud-init has no user data. So the image already has a configuration.
  aws: { metadata: 'late' },
  async live(world) {
    const { aws, machine } = world;
    await machine.writeText('/etc/cloud/cloud-init.disabled', '');
    await machine.writeText('/etc/ecs-node/config.yaml', 'cluster: prod\n');
    machine.start();
    await pause(30_000);
    harmedNobody(world);
    await aws.openMetadata();
    await joins(world);
  },
};
