import { describe } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';
import { scenario } from '../scenarios/scenario.ts';
import { settings, type StageOptions } from '../scenarios/stage.ts';
import { openEngine, type Engine, type EngineOptions } from './engine.ts';

/** A node with a real Docker, whose engine a scenario then finds in `engine()`. */
function withEngine(options: EngineOptions = {}): { stage: StageOptions; engine(): Engine } {
  let engine: Engine | undefined;
  const startDocker = async (root: string) => (engine ??= await openEngine(root, options));
  return { stage: { startDocker }, engine: () => engine! };
}

/** The names that the ECS agent gives to the images that it loads from files. */
const agentImages = [
  'amazon/amazon-ecs-pause:0.1.0',
  'ebs-csi-driver:latest',
  'ecs-service-connect-agent:interface-v1',
];

describe('a node whose Docker runs out of disk', () => {
  const freed = withEngine();
  scenario(
    "loses its oldest images until the disk is clear: tasks live, and the ECS agent's images start new ones",
    { ...freed.stage, flags: settings({ 'disk.keepImages': '["keep/*"]' }) },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await scene.inService(node);
      const engine = freed.engine();
      await node.write('etc/ecs-node/keep-images.d/baked.list', '# by Packer\nbaked:1\n');
      for (const name of [...agentImages, 'baked:1', 'keep/base:1', 'run:1', 'stopped:1']) await engine.addImage(name);
      for (const name of ['app:1', 'app:2', 'app:3', 'app:4']) await engine.addImage(name, 30);
      await engine.tag('app:1', 'app:latest');
      await engine.start('task', 'run:1');
      await engine.start('old', 'stopped:1');
      await engine.stop('old');
      await engine.fill(93);
      await scene.logged(node, 'the disk is clear');
      const left = await engine.images();
      expect(left).toEqual(expect.arrayContaining([...agentImages, 'baked:1', 'keep/base:1', 'run:1', 'stopped:1']));
      // The application's oldest images are gone under each of their names, and no others.
      expect(left.filter((name) => name.startsWith('app:'))).toEqual(['app:3', 'app:4']);
      expect(await engine.usedPercent()).toBeLessThan(80);
      expect(await engine.isRunning('task')).toBe(true);
      await engine.start('pause', agentImages[0]!);
      expect(await engine.isRunning('pause')).toBe(true);
      await waitFor('ACTIVE again', () => scene.placements(node).at(-1) === 'ACTIVE');
      expect(node.state()).toBe('InService');
    },
  );

  const cached = withEngine();
  scenario(
    'keeps every image when the ECS agent pulls each only once, and says so',
    { ...cached.stage, flags: settings({ 'ecs.settings.ECS_IMAGE_PULL_BEHAVIOR': 'once' }) },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await scene.inService(node);
      const engine = cached.engine();
      await engine.addImage('app:1', 60);
      await engine.fill(95);
      await scene.logged(node, 'images not removed');
      expect(node.log.find(({ message }) => message === 'images not removed')?.['reason']).toMatch(/=once/);
      expect(await engine.images()).toEqual(['app:1']);
    },
  );

  const held = withEngine();
  scenario('names the stopped containers that hold their images', held.stage, async (scene) => {
    const { expect } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    const engine = held.engine();
    await engine.addImage('app:1', 60);
    await engine.start('ecs-web-7-web-0', 'app:1');
    await engine.stop('ecs-web-7-web-0');
    await engine.fill(95);
    await scene.logged(node, 'no image is left to remove');
    const told = node.log.find(({ message }) => message === 'no image is left to remove');
    expect(told?.['stoppedContainers']).toEqual(['ecs-web-7-web-0']);
    expect(await engine.images()).toEqual(['app:1']);
  });

  const elsewhere = withEngine({ dataRoot: '/data/docker' });
  scenario('notices a full volume that only a flag of dockerd names', elsewhere.stage, async (scene) => {
    const { expect } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    const engine = elsewhere.engine();
    await engine.addImage('app:1', 100);
    await engine.fill(93);
    // The node believes a root that only Docker names after 75 s.
    await waitFor('app:1 is gone', async () => (await engine.images()).length === 0, 120_000);
    const { stdout } = await node.run(['doctor']);
    expect(stdout).toMatch(/disk: .*\/data\/docker: \d+ %/);
    // 5 % of its blocks are reserved: `df` and the node say the same.
    await engine.fill(60);
    const shown = (await node.run(['doctor'])).stdout.match(/\/data\/docker: (\d+) %/)?.[1];
    expect(Math.abs(Number(shown) - (await engine.usedPercent()))).toBeLessThanOrEqual(1);
  });
});
