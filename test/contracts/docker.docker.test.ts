import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDocker } from '../../host/docker.ts';
import { openEngine } from '../docker/engine.ts';
import { describeDocker } from './docker.ts';

describeDocker('a real engine', async () => {
  const root = await mkdtemp(join(tmpdir(), 'd-'));
  const engine = await openEngine(root, { megabytes: 64 });
  return {
    ...engine,
    docker: openDocker(root),
    async close() {
      await engine.close();
      await rm(root, { recursive: true, force: true });
    },
  };
});
