import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';
import { scenario } from '../scenarios/scenario.ts';
import { settings } from '../scenarios/stage.ts';
import { openEngine, type Engine } from './engine.ts';

describe('a node whose Docker hangs while its ECS agent stays connected', () => {
  let engine: Engine | undefined;
  scenario(
    'says so in status and doctor, and restarts Docker once ECS calls it impaired',
    {
      startDocker: async (root) => (engine ??= await openEngine(root, { megabytes: 64 })),
      flags: settings({ 'docker.pollSeconds': 5, 'docker.patienceSeconds': 60, 'docker.restarts': 1 }),
    },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await scene.inService(node);
      const docker = async () => (await node.run(['status'])).stdout.match(/^\s*docker\s.*$/m)?.[0] ?? '';
      await waitFor('well', async () => /well/.test(await docker()));
      engine!.process.kill('SIGSTOP');
      await waitFor('told', async () => /Docker does not answer/.test(await docker()));
      const began = performance.now();
      expect((await node.run(['doctor'])).stdout).toMatch(/WRONG\s+Docker: no answer within 5 s/);
      // Sixty before: a person waited for a check that then could not tell.
      expect(performance.now() - began).toBeLessThan(30_000);
      scene.simulator.verbs.setRuntimeHealth(node.id, 'IMPAIRED');
      const log = join(node.root, '.stand-ins/systemctl.log');
      await waitFor('restarted', async () => (await readFile(log, 'utf8')).includes('restart docker.service'), 90_000);
      expect(node.state()).toBe('InService');
      scene.simulator.verbs.setRuntimeHealth(node.id, 'OK');
      engine!.process.kill('SIGCONT');
      await waitFor('well again', async () => /well/.test(await docker()));
    },
  );
});
