import { describe, expect, it } from 'vitest';
import { openBackoff } from '../../../agent/watching/backoff.ts';
import { watchEcsAgent } from '../../../agent/watchers/ecs-agent.ts';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { openFakeClock } from '../../fakes/clock.ts';
import { configOf, never, setStage } from './stage.ts';

describe('a question with backoff', () => {
  const stage = () => {
    const clock = openFakeClock();
    const backoff = openBackoff(() => 1);
    let asked = 0;
    const ask = (answer: () => Promise<string>) =>
      backoff(clock, () => {
        asked += 1;
        return answer();
      }).catch((error: Error) => error.message);
    return { clock, ask, asked: () => asked };
  };
  const throttled = () => Promise.reject(new Unavailable('throttled'));

  // Each node asked every half minute instead of every ten, for as long as ECS was too busy to
  // answer.
  it('is asked less and less often while AWS does not answer, and reports the last error in between', async () => {
    const { clock, ask, asked } = stage();
    const minutes: number[] = [];
    for (let minute = 0; minute < 60; minute++) {
      const before = asked();
      expect(await ask(throttled)).toBe('throttled');
      if (asked() > before) minutes.push(minute);
      await clock.run(60_000);
    }
    expect(minutes).toEqual([0, 1, 3, 7, 15, 25, 35, 45, 55]);
  });

  it('is asked at its usual interval after an answer', async () => {
    const { clock, ask, asked } = stage();
    await ask(throttled);
    await clock.run(60_000);
    expect(await ask(async () => 'well')).toBe('well');
    expect(await ask(async () => 'well')).toBe('well');
    expect(await ask(throttled)).toBe('throttled');
    await clock.run(60_000);
    expect(await ask(async () => 'well')).toBe('well');
    expect(asked()).toBe(5);
  });

  it('may be asked again at once after a refusal', async () => {
    const { ask, asked } = stage();
    for (let i = 0; i < 3; i++) expect(await ask(() => Promise.reject(new Refused('no')))).toBe('no');
    expect(asked()).toBe(3);
  });
});

describe('the cross-check of an ECS agent', () => {
  const checks = async (prepare: (stage: ReturnType<typeof setStage>) => Promise<void> | void) => {
    const stage = setStage();
    const watcher = watchEcsAgent(configOf());
    const check = () => watcher.check(stage.host, never).then(({ kind }) => kind, String);
    await prepare(stage);
    const first = await check();
    stage.world.calls.fails('readContainerInstance', new Unavailable('throttled'));
    await stage.world.clock.run(700_000);
    const before = stage.world.calls.of('readContainerInstance').length;
    const answers = new Set<string>();
    for (let i = 0; i < 60; i++) {
      answers.add(await check());
      await stage.world.clock.run(30_000);
    }
    return { first, answers: [...answers], asked: stage.world.calls.of('readContainerInstance').length - before };
  };

  it('is rare while ECS is throttled, and reports meanwhile that it could not tell', async () => {
    const { first, answers, asked } = await checks(() => {});
    expect(first).toBe('well');
    expect(answers).toEqual(['Unavailable: throttled']);
    expect(asked).toBeLessThanOrEqual(8);
  });

  it.each([
    ['was disconnected', (stage: ReturnType<typeof setStage>) => void (stage.own.agentConnected = false)],
    ['is silent', (stage: ReturnType<typeof setStage>) => void (stage.world.localAgent = undefined)],
  ])('happens each time where the agent %s', async (_, prepare) => {
    const { answers, asked } = await checks(prepare);
    expect(answers).toEqual(['Unavailable: throttled']);
    expect(asked).toBe(60);
  });
});
