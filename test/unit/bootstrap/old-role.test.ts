import { expect, test } from 'vitest';
import { Refused } from '../../../core/errors.ts';
import { opsworksConfig, plainConfig, setStage } from './stage.ts';

// A team that sets only the cluster still has the role of the bash script. The node must come up,
// without a name.
test('a node whose role may neither tag nor read attributes bootstraps, and names what is missing', async () => {
  const { world, boot, state } = setStage(plainConfig({ terminationProtection: 'clear' }));
  const denied = new Refused('ec2:… is not allowed', { code: 'UnauthorizedOperation' });
  world.calls.fails('tagSelf', denied);
  world.calls.fails('readTerminationProtection', denied);
  await boot();
  expect(state().outcome).toBe('done');
  const skipped = state().steps.filter((step) => step.state === 'skipped');
  expect(skipped.map(({ name }) => name)).toEqual(expect.arrayContaining(['name-tag', 'unprotect']));
  expect(world.log.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
    'Name tag not set',
    'termination protection not read',
  ]);
});

test('a node in OpsWorks that may not clear its termination protection fails its bootstrap', async () => {
  const { world, fail } = setStage(opsworksConfig());
  world.calls.fails('clearTerminationProtection', new Refused('no', { code: 'UnauthorizedOperation' }));
  expect(await fail()).toMatchObject({ name: 'StepError', step: 'unprotect' });
});
