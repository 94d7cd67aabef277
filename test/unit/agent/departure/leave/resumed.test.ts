import { describe, expect, it } from 'vitest';
import { runDeparture, readDeparture } from '../../../../../agent/departure/leave.ts';
import { Unavailable } from '../../../../../core/errors.ts';
import { paths } from '../../../../../core/state/state.ts';
import { someBalancer } from '../../../../fakes/cloud/balancers.ts';
import { never, setStage, someOrder } from '../../stage.ts';
import { targetGroup, withBalancers, scaleIn } from './orders.ts';

describe('the resumed departure', () => {
  const worldAfter = (stage: ReturnType<typeof setStage>) => ({
    hooks: stage.group.hooks.map(({ name, ended }) => [name, ended]),
    state: stage.world.instance.state,
    own: stage.own.status,
    left: stage.deregistered,
    tasks: stage.world.cluster.tasks.map(({ lastStatus }) => lastStatus),
    phase: stage.departure().phase,
    cause: stage.departure().cause,
  });
  const prepare = (order: object) => {
    const stage = setStage(withBalancers());
    stage.world.balancers.targetGroups.set(targetGroup, someBalancer(10_000));
    stage.world.balancers.loadBalancers.set('classic', someBalancer(10_000));
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 10_000 });
    if ('ending' in order && order.ending === 'await') stage.group.begin('terminate');
    stage.agrees(order);
    return stage;
  };
  for (const [name, order] of [
    ['a disk departure', { cause: 'disk', ending: 'terminate' }],
    ['a scale-in', scaleIn],
  ] as const) {
    for (const when of ['before', 'after'] as const) {
      it(`ends the same after a crash ${when} any call of ${name}, and repeats no effect`, async () => {
        const whole = prepare(order);
        await whole.leaves(order);
        const expected = worldAfter(whole);
        const calls = whole.world.calls.list.length;
        expect(expected).toMatchObject({ state: 'shutting-down', phase: 'done' });
        for (let n = 1; n <= calls; n++) {
          const stage = prepare(order);
          let terminations = 0;
          const begin = stage.group.begin.bind(stage.group);
          stage.group.begin = (transition) => {
            terminations += 1;
            begin(transition);
          };
          stage.world.calls.crashAt(n, when);
          void runDeparture(stage.host, stage.config, someOrder(order), { deregister: stage.deregister }, never).catch(
            () => {},
          );
          await stage.world.clock.finish(stage.world.calls.crashed());
          const host = n % 2 === 0 ? stage.world.restart() : stage.world.reboot();
          await stage.leaves(order, host);
          expect(worldAfter(stage), `crash ${when} call ${n}`).toEqual(expected);
          expect(terminations, `crash ${when} call ${n}`).toBe(order.ending === 'terminate' ? 1 : 0);
          // A termination under way needs no harsher method.
          for (const harsher of ['reportUnhealthy', 'terminateSelf', 'powerOff']) {
            expect(stage.deeds(), `crash ${when} call ${n}`).not.toContain(harsher);
          }
        }
      });
    }
  }

  it.each([
    ['is not repeated for the same order', 'a', false, 'ACTIVE'],
    ['is repeated for another order', 'b', false, 'DRAINING'],
    ['is repeated for the same order after a reboot', 'a', true, 'DRAINING'],
  ])('%s once it is done', async (_, key, reboots, status) => {
    const stage = setStage();
    const order = { cause: 'operator', ending: 'remain', key: 'a' } as const;
    await stage.leaves(order);
    expect(stage.own.status).toBe('DRAINING');
    stage.own.status = 'ACTIVE';
    await stage.leaves({ ...order, key }, reboots ? stage.world.reboot() : stage.world.restart());
    expect(stage.own.status).toBe(status);
  });

  // EMFILE for one read of departure.json made the node leave twice.
  it('is not repeated once it is done, although one read did not show it', async () => {
    const stage = setStage();
    const order = { cause: 'operator', ending: 'remain', key: 'a' } as const;
    await stage.leaves(order);
    stage.own.status = 'ACTIVE';
    let reads = 0;
    stage.world.calls.onCall = ({ verb, args }) => {
      if (verb === 'readText' && args[0] === paths.departure && ++reads === 1)
        throw new Unavailable('EMFILE: too many open files');
    };
    await stage.leaves(order, stage.world.restart());
    expect(reads).toBe(2);
    expect(stage.own.status).toBe('ACTIVE');
  });

  it('ignores the departure of another machine', async () => {
    const stage = setStage();
    stage.world.machine.files.set(
      paths.departure,
      JSON.stringify({ ...someOrder(), instanceId: 'i-0bbbbbbbbbbbbbbbb', phase: 'terminate', troubles: [] }),
    );
    expect(await readDeparture(stage.host, never)).toBeUndefined();
  });

  it('completes the hook on its way out when a stop comes, so that the group does not wait', async () => {
    for (const order of [scaleIn, { ...scaleIn, cause: 'spot' as const }]) {
      const stage = setStage();
      stage.group.hookLagMs = 25_000;
      stage.group.begin('terminate');
      stage.agrees(order);
      if (order.cause === 'spot') [stage.world.cluster.instances, stage.world.localAgent] = [[], undefined];
      const stop = new AbortController();
      const done = runDeparture(
        stage.host,
        stage.config,
        someOrder(order),
        { deregister: stage.deregister },
        stop.signal,
      );
      done.catch(() => {});
      // A spot node without a record asks for it for half a minute first.
      await stage.world.clock.run(order.cause === 'spot' ? 48_000 : 18_000);
      expect(stage.departure().phase).toBe('hook');
      stage.group.hookLagMs = 0;
      stage.world.calls.delays('completeHook', 500);
      stop.abort(new Error('SIGTERM'));
      await expect(stage.world.clock.finish(done)).rejects.toThrow('SIGTERM');
      expect(stage.group.hooks[1]!.ended, order.cause).toBe('CONTINUE');
    }
  });
});
