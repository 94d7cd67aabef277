/** ECS carries out a call that sets DRAINING after its departure was undone. */

import { expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { ask, inService, minute } from '../running/in-service.ts';
import { configOf, setStage } from '../stage.ts';

/** Each DRAINING call of an agent gets no answer, and takes effect `ms` later. */
async function withLateDraining(ms: number, answer: (signal: AbortSignal) => Promise<void>) {
  const stage = setStage(configOf());
  const { world, host, own } = stage;
  const drain = async (_cluster: string, _arn: string, signal: AbortSignal) => {
    world.clock.schedule(ms, () => void (own.status = 'DRAINING'));
    await answer(signal);
  };
  const agent = stage.agent({ ...host, cloud: { ...host.cloud, drain } });
  await world.clock.run(minute);
  return { stage, world, own, agent };
}

const refuses = async () => {
  throw new Unavailable('HTTP 503');
};

// The node stayed DRAINING for ever, without a departure.
it.each([
  ['at once (control)', 0, 3_000],
  ['5 s after the word was taken back', 8_000, 3_000],
  ['30 s after the word was taken back', 33_000, 3_000],
])('a node that was called to leave for 3 s is ACTIVE where ECS drains it %s', async (_how, ms, callMs) => {
  const { stage, world, own, agent } = await withLateDraining(ms, (signal) => stage.host.clock.sleep(minute, signal));
  world.metadata.targetState = 'Terminated';
  await world.clock.run(callMs);
  world.metadata.targetState = 'InService';
  await world.clock.run(10 * minute);
  expect(stage.departure()?.undoneAt).toBeDefined();
  expect(own.status).toBe('ACTIVE');
  await agent.stop();
});

it('a node whose calls to drain are answered by HTTP 503 is ACTIVE where ECS carries them out', async () => {
  const { stage, world, own, agent } = await withLateDraining(5_000, refuses);
  world.metadata.targetState = 'Terminated';
  await world.clock.run(25_000);
  world.metadata.targetState = 'InService';
  await world.clock.run(10 * minute);
  expect(stage.departure()?.undoneAt).toBeDefined();
  expect(own.status).toBe('ACTIVE');
  await agent.stop();
});

it('a node that a person drains again stays DRAINING', async () => {
  const { stage, world, own, agent } = await withLateDraining(0, refuses);
  world.metadata.targetState = 'Terminated';
  await world.clock.run(5_000);
  world.metadata.targetState = 'InService';
  await world.clock.run(10_000);
  ask(stage, 'leave', false);
  await world.clock.run(10 * minute);
  expect(own.status).toBe('DRAINING');
  await agent.stop();
});

// A person may set DRAINING in the console.
it('a node whose calls are answered looks at its status no more', async () => {
  const { stage, run, agent } = await inService();
  stage.world.metadata.targetState = 'Terminated';
  await run(5_000);
  stage.world.metadata.targetState = 'InService';
  await run(minute);
  expect(stage.own.status).toBe('ACTIVE');
  stage.own.status = 'DRAINING';
  await run(10 * minute);
  expect(stage.own.status).toBe('DRAINING');
  await agent.stop();
});
