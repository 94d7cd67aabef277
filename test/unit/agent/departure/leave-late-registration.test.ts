import { expect, test } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { configOf, setStage } from '../stage.ts';

// Its group had begun to end it: the terminate hook timed out under the tasks that were still
// waited for.
test('a node that ECS registers at its very end keeps its terminate hook alive while it waits for its tasks', async () => {
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

test('a node that ECS does not drain for minutes keeps trying while it waits for its tasks, and records that once', async () => {
  const stage = setStage(configOf({ leave: { drainSeconds: 1800 } }));
  const { cluster, calls, clock } = stage.world;
  cluster.addTask(stage.own.arn, { stopsAfterMs: 1_500_000 });
  calls.fails('drain', new Unavailable('throttled'));
  clock.schedule(1_400_000, () => calls.heals('drain'));
  const state = await stage.leaves({ cause: 'operator' });
  expect(stage.own.status).toBe('DRAINING');
  expect(state.drainedAt! - state.startedAt).toBeLessThan(1_430_000);
  expect(calls.of('drain').length).toBeGreaterThan(100);
  expect(state.troubles.filter((trouble) => trouble.startsWith('draining: '))).toHaveLength(1);
  expect(calls.of('writeText').filter(({ args }) => args[0] === paths.departure).length).toBeLessThan(30);
});
