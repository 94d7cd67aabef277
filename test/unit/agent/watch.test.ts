import { expect, test } from 'vitest';
import { setStage } from './stage.ts';

const minute = 60_000;

// A watcher that waited for that one answer would never run again.
test.each([
  ['readSpotNotice', 'spot'],
  ['readTargetState', 'scale-in'],
])('a %s without an answer is given up, and the next one counts', async (verb, cause) => {
  const stage = setStage();
  const { world } = stage;
  const agent = stage.agent();
  await world.clock.run(minute);
  world.calls.hangs(verb, 1);
  await world.clock.run(10_000);
  expect(world.calls.of(verb).length).toBeGreaterThan(2);
  const at = stage.host.clock.now() + 2 * minute;
  if (cause === 'spot') world.metadata.spotNotice = { action: 'terminate', at };
  else world.metadata.targetState = 'Terminated';
  await world.clock.run(2_100);
  expect(stage.departure()).toMatchObject({ cause });
  expect(stage.own.status).toBe('DRAINING');
  await agent.stop();
});
