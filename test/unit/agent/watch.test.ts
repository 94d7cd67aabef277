import { describe, expect, it } from 'vitest';
import { configOf, setStage } from './stage.ts';

describe('what the machine itself is asked every second or two', () => {
  const autoScaling = { launchHook: 'launch', terminateHook: 'terminate', pollSeconds: 2 };

  const inService = async () => {
    const stage = setStage(configOf({ autoScaling, spot: { pollSeconds: 1 } }));
    const agent = stage.agent();
    while (stage.status()?.join.state !== 'joined') await stage.world.clock.run(100);
    const since = stage.world.clock.uptime();
    const timesOf = (verb: string) =>
      stage.world.calls
        .of(verb)
        .map(({ at }) => at)
        .filter((at) => at > since);
    return { stage, agent, timesOf };
  };

  const pauses = (times: number[]) => times.slice(1).map((at, index) => at - times[index]!);

  // Two questions, each on an interval of its own, woke the agent eight times in five seconds instead of five.
  it('is asked together, and never later than promised', async () => {
    const { stage, agent, timesOf } = await inService();
    await stage.world.clock.run(60_000);
    const [spot, target] = [timesOf('readSpotNotice'), timesOf('readTargetState')];
    expect(target.length).toBeGreaterThanOrEqual(29);
    expect(target.filter((at) => !spot.includes(at))).toEqual([]);
    expect(Math.max(...pauses(spot))).toBeLessThanOrEqual(1_000);
    expect(Math.max(...pauses(target))).toBeLessThanOrEqual(2_000);
    await agent.stop();
  });

  it('is asked together again after an answer that took long', async () => {
    const { stage, agent, timesOf } = await inService();
    stage.world.calls.delays('readTargetState', 2_700, 1);
    await stage.world.clock.run(60_000);
    const [spot, target] = [timesOf('readSpotNotice'), timesOf('readTargetState')];
    const late = target.filter((at) => !spot.includes(at));
    expect(late.length).toBeLessThanOrEqual(1);
    expect(Math.max(...pauses(spot))).toBeLessThanOrEqual(1_000);
    await agent.stop();
  });
});
