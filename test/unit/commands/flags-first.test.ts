import { expect, test } from 'vitest';
import { waitFor } from '../../../simulator/wait-for.ts';
import { openStage } from './stage.ts';

/** Nothing listens there. */
const environment = { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1' };

test('a bootstrap that ends while the metadata service is slow has saved its flags for the next one', async () => {
  const stage = await openStage();
  const stop = new AbortController();
  const ended = stage.run(['bootstrap', '--cluster', 'prod', '--set', 'hostname={cluster}-{shortId}'], {
    environment,
    signal: stop.signal,
  });
  const isSaved = async () => (await stage.read('etc/ecs-node/config.yaml'))?.includes('cluster: prod');
  // Only a test as a whole has a limit: the command is loaded first.
  await waitFor('the flags are saved', isSaved, 240_000);
  stop.abort(new Error('stopped'));
  await ended;
  expect(await stage.read('etc/ecs-node/config.yaml')).toContain('hostname: "{cluster}-{shortId}"');
});
