/** One wrong answer of one source: it is asked again, and decides nothing. */

import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import type { Host } from '../../../core/host.ts';
import { configOf, setStage, type Stage } from './stage.ts';

const minute = 60_000;

/** The host, whose cloud gives `answer` once to `verb`, as soon as `when` is true. */
function lying(
  { host }: Stage,
  verb: 'readMembership' | 'readHooks' | 'readSpotStatus',
  answer: unknown,
  when: () => boolean = () => true,
): Host {
  let isDone = false;
  const real = host.cloud[verb] as (...args: unknown[]) => Promise<unknown>;
  const lie = async (...args: unknown[]) => {
    const truth = await real(...args);
    if (isDone || !when()) return truth;
    isDone = true;
    return answer;
  };
  return { ...host, cloud: { ...host.cloud, [verb]: lie } };
}

const hookNamed = ({ group }: Stage, name: string) => group.hooks.find((hook) => hook.name === name);

describe('one empty list of hooks', () => {
  // The list counted as "no hook": the node was joined, and its hook timed out and ended it.
  it('does not end the wait for the launch hook of a group that waits', async () => {
    const stage = setStage();
    stage.group.hookLagMs = 40_000;
    stage.group.begin('launch');
    const agent = stage.agent(lying(stage, 'readHooks', []));
    await stage.world.clock.run(4 * minute);
    expect(hookNamed(stage, 'launch')?.ended).toBe('CONTINUE');
    await agent.stop();
  });
});

describe('one answer of EC2 without the spot request', () => {
  // It counted as a denial for the whole departure: the tasks were never stopped in time.
  it('leaves the tasks their time before the end where EC2 is silent afterwards', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 900 } }));
    const { world } = stage;
    world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: 20_000 });
    const isNoticed = () => world.metadata.spotNotice !== undefined;
    const agent = stage.agent(lying(stage, 'readSpotStatus', undefined, isNoticed));
    await world.clock.run(minute);
    world.metadata.spotNotice = { action: 'terminate', at: stage.host.clock.now() + 120_000 };
    world.instance.spotStatus = 'marked-for-termination';
    await world.clock.run(11_000);
    expect(world.calls.of('readSpotStatus')).toHaveLength(1);
    world.calls.fails('readSpotStatus', new Unavailable('silent'));
    await world.clock.run(2 * minute);
    expect(world.calls.of('stopTask')).not.toHaveLength(0);
    await agent.stop();
  });
});
