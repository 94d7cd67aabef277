/** The node is ACTIVE again, its undoing is not over, and an order comes: this time for good. */

import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { inService, minute, spotAt } from './in-service.ts';
import { configOf, type Stage } from '../stage.ts';

async function undoing(trouble: (stage: Awaited<ReturnType<typeof inService>>['stage']) => void) {
  const on = await inService(configOf({ leave: { drainSeconds: 3600 } }));
  const { stage, run } = on;
  const { world } = stage;
  world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  world.metadata.targetState = 'Terminated';
  await run(5_000);
  expect(stage.own.status).toBe('DRAINING');
  world.metadata.targetState = 'InService';
  trouble(stage);
  for (let i = 0; i < 60 && stage.own.status !== 'ACTIVE'; i++) await run(500);
  expect(stage.own.status).toBe('ACTIVE');
  expect(stage.departure().undoneAt).toBeUndefined();
  return on;
}

describe.each(['scale-in', 'spot'] as const)('a node with a real order (%s) is DRAINING', (cause) => {
  const order = ({ stage }: Awaited<ReturnType<typeof inService>>) => {
    const { world } = stage;
    if (cause === 'spot') world.metadata.spotNotice = spotAt(world.clock.now() + 120_000);
    else {
      stage.group.begin('terminate');
      world.metadata.targetState = 'Terminated';
    }
  };

  it.each([
    ['ECS is slow to tell about other records', (calls) => calls.hangs('readContainerInstance')],
    ['the answer to ACTIVE was lost', (calls) => calls.losesAnswer('activate', new Unavailable('HTTP 503'))],
  ] satisfies [string, (calls: Stage['world']['calls']) => void][])('although %s', async (_, trouble) => {
    const on = await undoing(({ world }) => trouble(world.calls));
    order(on);
    await on.run(5_000);
    on.stage.world.calls.heals();
    await on.run(minute);
    await on.agent.stop();
    expect(on.stage.own.status).toBe('DRAINING');
  });

  it('although it was killed right after ACTIVE', async () => {
    const on = await undoing(({ world }) => {
      world.calls.onCall = ({ verb }) => {
        if (verb === 'activate') world.calls.crashAt(1, 'after');
      };
    });
    on.stage.world.calls.onCall = undefined;
    order(on);
    const next = on.stage.agent(on.stage.world.restart());
    await on.run(minute);
    await next.stop();
    expect(on.stage.own.status).toBe('DRAINING');
  });
});
