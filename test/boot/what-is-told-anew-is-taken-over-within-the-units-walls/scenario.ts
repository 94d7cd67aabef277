import assert from 'node:assert/strict';
import { harmedNobody, joins } from '../rig/check.ts';
import type { Scenario } from '../rig/contract.ts';

const file = '/etc/container_config/node.config';

export const scenario: Scenario = {
  aws: { tags: { env: 'stage' } },
  async live(world) {
    const { aws, machine, until } = world;
    const { verbs } = aws.simulator;
    verbs.putParameter('/ecs/prod/10-all', 'disk: {fullPercent: 85}\n');
    machine.start();
    await joins(world);
    const settings = async () => (await machine.run('/usr/bin/ecs-node', 'check')).stdout;
    assert.match(await settings(), /fullPercent: 85 # from ssm:\/ecs\/prod\/10-all:1/);

    // The file was not configured at boot. The agent can write it, since the unit opens this
    // folder.
    const { MainPID } = await machine.readUnit('ecs-node.service');
    verbs.putParameter('/ecs/prod/20-containers', 'containerEnvironment: {enabled: true}\n');
    await until('the tag is there', async () => (await machine.readText(file))?.includes('ECS_NODE_TAG_env=stage\n'));
    const [instance] = aws.simulator.world.instances.keys();
    verbs.setTag(instance!, 'env', 'prod');
    await until('the new tag is there', async () =>
      (await machine.readText(file))?.includes('ECS_NODE_TAG_env=prod\n'),
    );

    await machine.writeText('/etc/ecs-node/config.d/90-here.yaml', 'disk: {fullPercent: 95}\n');
    const reloaded = await machine.run('/usr/bin/systemctl', 'reload', 'ecs-node');
    assert.equal(reloaded.code, 0);
    await until('the drop-in counts', async () =>
      /taken over .*disk\.fullPercent/.test((await machine.run('/usr/bin/ecs-node', 'status')).stdout),
    );
    const unit = await machine.readUnit('ecs-node.service');
    assert.deepEqual([unit['MainPID'], unit['NRestarts'], unit['SubState']], [MainPID, '0', 'running']);
    harmedNobody(world);
  },
};
