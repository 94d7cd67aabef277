import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { someBalancer } from '../../../../fakes/cloud/balancers.ts';
import { configOf, setStage } from '../../stage.ts';
import { targetGroup, withBalancers } from './orders.ts';

describe('a departure', () => {
  it('ends the same when AWS throttles any of its calls, or is silent, for minutes', async () => {
    const whole = setStage(withBalancers());
    const prepare = (stage: typeof whole) => {
      stage.world.balancers.targetGroups.set(targetGroup, someBalancer(10_000));
      stage.world.balancers.loadBalancers.set('classic', someBalancer(10_000));
      stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 10_000 });
      return stage;
    };
    await prepare(whole).leaves();
    for (const verb of new Set(whole.world.calls.verbs('cloud'))) {
      for (const trouble of ['fails', 'hangs'] as const) {
        const stage = prepare(setStage(withBalancers()));
        if (trouble === 'fails') stage.world.calls.fails(`cloud.${verb}`, new Unavailable('throttled'));
        else stage.world.calls.hangs(`cloud.${verb}`);
        stage.world.clock.schedule(200_000, () => stage.world.calls.heals());
        const state = await stage.leaves();
        expect([verb, trouble, state.phase, stage.own.status]).toEqual([verb, trouble, 'done', 'DRAINING']);
        expect([verb, trouble, stage.group.hooks[1]!.ended]).toEqual([verb, trouble, 'CONTINUE']);
        expect([verb, trouble, stage.deeds().includes('terminateSelf')]).toEqual([verb, trouble, false]);
      }
    }
  });

  // ECS was silent for minutes as the wait for the tasks began: they were cut off so many minutes
  // early.
  it('gives its tasks their time from DRAINING on, also when ECS answers only while it waits for them', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 900, atDeadline: 'leave-tasks' } }));
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 850_000 });
    stage.world.calls.fails('drain', new Unavailable('connect ECONNREFUSED'));
    stage.world.clock.schedule(500_000, () => stage.world.calls.heals());
    const state = await stage.leaves();
    expect(state.entered.tasks! - state.startedAt).toBeLessThan(400_000);
    expect(state.drainedAt! - state.startedAt).toBeGreaterThanOrEqual(500_000);
    expect(state.troubles.join()).not.toContain('tasks left');
  });

  it('stops the remaining tasks at the deadline, or leaves them, as configured', async () => {
    for (const atDeadline of ['stop-tasks', 'leave-tasks']) {
      const stage = setStage(configOf({ leave: { drainSeconds: 120, atDeadline } }));
      stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
      const state = await stage.leaves();
      expect(stage.deeds().includes('stopTask')).toBe(atDeadline === 'stop-tasks');
      expect(state.troubles.join()).toContain(atDeadline === 'stop-tasks' ? 'tasks stopped' : 'tasks left');
      expect(state.entered.registrar! - state.entered.tasks!).toBeLessThan(170_000);
      expect(stage.world.instance.state).toBe('shutting-down');
    }
  });

  it('stops tasks early enough that they end before EC2 takes a spot instance', async () => {
    const stage = setStage();
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const deadline = stage.host.clock.now() + 100_000;
    const began = stage.host.clock.uptime();
    await stage.leaves({ cause: 'spot', key: 'spot:1', deadline, ending: 'await' });
    const [stopped] = stage.world.calls.of('stopTask');
    expect(stopped!.at - began).toBeGreaterThan(60_000);
    expect(stopped!.at - began).toBeLessThanOrEqual(72_000);
  });

  // A node that a person drained took new tasks for ever after one refusal.
  it('remains, and drains once the role may, where AWS refuses to', async () => {
    const verb = 'drain';
    const stage = setStage();
    stage.world.calls.fails(verb, new Refused('denied', { code: 'AccessDenied' }));
    stage.world.clock.schedule(300_000, () => stage.world.calls.heals());
    await stage.leaves({ cause: 'operator', ending: 'remain' });
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.world.calls.of(verb).length).toBeLessThan(30);
  });

  // A refusal counted as done: the node waited for an hour until its hook timed out.
  it.each(['completeHook', 'readMembership'])(
    'completes its hook once the role may, where AWS refuses %s',
    async (verb) => {
      const stage = setStage();
      const refuse = () => stage.world.calls.fails(verb, new Refused('denied', { code: 'AccessDenied' }));
      stage.world.calls.onCall = (call) => {
        if (call.verb === 'terminateInGroup') stage.world.clock.schedule(0, refuse);
      };
      stage.group.hookLagMs = 3_000;
      stage.world.clock.schedule(120_000, () => stage.world.calls.heals());
      await stage.leaves();
      expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
      expect(stage.world.calls.of(verb).length).toBeLessThan(60);
    },
  );
});
