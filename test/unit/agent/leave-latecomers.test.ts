import { expect, test } from 'vitest';
import { configOf, setStage } from './stage.ts';

// Its group had begun to end it: the terminate hook timed out under the tasks that were still waited for.
test('a node that ECS comes to know at its very end keeps its terminate hook alive while it waits for its tasks', async () => {
  const stage = setStage(configOf({ leave: { drainSeconds: 900 } }));
  const { cluster, calls } = stage.world;
  const [instances, localAgent] = [cluster.instances, stage.world.localAgent];
  [cluster.instances, stage.world.localAgent] = [[], undefined];
  stage.group.hooks[1]!.heartbeatSeconds = 120;
  let stopped: boolean | undefined;
  calls.onCall = ({ verb }) => {
    if (verb === 'terminateInGroup') {
      [cluster.instances, stage.world.localAgent] = [instances, localAgent];
      cluster.addTask(stage.own.arn, { stopsAfterMs: 600_000 });
    }
    if (verb === 'completeHook') stopped ??= cluster.tasks.every(({ lastStatus }) => lastStatus === 'STOPPED');
  };
  await stage.leaves({ cause: 'operator' });
  expect(stage.own.status).toBe('DRAINING');
  expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
  expect(stopped).toBe(true);
});
