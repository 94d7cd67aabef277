import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import type { World } from '../../fakes/host.ts';
import { configOf, setStage } from './stage.ts';

const minute = 60_000;
const withBus = (more: Record<string, unknown> = {}) => configOf({ events: { bus: 'default' }, ...more });

const types = ({ events }: World) => events.map(({ type }) => type);

/** The uptime of the first call of this verb. */
const firstAt = ({ calls }: World, verb: string) => calls.of(verb)[0]?.at ?? Infinity;

describe('the team', () => {
  it('hears once that a node has joined, also when the agent restarts', async () => {
    const stage = setStage(withBus());
    const agent = stage.agent();
    await stage.world.clock.run(minute);
    await agent.stop();
    const next = stage.agent(stage.world.restart());
    await stage.world.clock.run(minute);
    await next.stop();
    expect(types(stage.world)).toEqual(['joined']);
  });

  it('hears why a node left, what it waited for, and how long each phase took', async () => {
    const stage = setStage(withBus());
    stage.world.cluster.addTask(stage.own.arn, { stopsAfterMs: 20_000 });
    await stage.leaves();
    await stage.world.clock.run(1_000);
    expect(types(stage.world)).toEqual(['draining', 'left']);
    const { detail } = stage.world.events[1]!;
    expect(detail).toMatchObject({ cause: 'disk', reason: 'disk full: / 95 %', ending: 'terminate', blockers: [] });
    const phases = detail['phases'] as { name: string; seconds?: number }[];
    expect(phases.map(({ name }) => name)).toEqual([
      'announce',
      'balancers',
      'drain',
      'tasks',
      'registrar',
      'terminate',
    ]);
    expect(phases.find(({ name }) => name === 'tasks')?.seconds).toBeGreaterThanOrEqual(20);
  });

  it('hears of no deed before it is done', async () => {
    const stage = setStage(withBus());
    const order: string[] = [];
    stage.world.calls.delays('drain', 3_000);
    stage.world.calls.delays('terminateInGroup', 3_000);
    stage.world.calls.onCall = ({ verb, args }) => {
      if (verb === 'putEvent') order.push((args[1] as { type: string }).type);
    };
    const state = stage.leaves();
    await stage.world.clock.finish(state);
    await stage.world.clock.run(1_000);
    const putAt = stage.world.calls.of('putEvent').map(({ at }) => at);
    expect(order).toEqual(['draining', 'left']);
    expect(putAt[0]! - firstAt(stage.world, 'drain')).toBeGreaterThanOrEqual(3_000);
    expect(putAt[1]! - firstAt(stage.world, 'terminateInGroup')).toBeGreaterThanOrEqual(3_000);
  });

  it('hears nothing of a termination that no way could bring about', async () => {
    const stage = setStage(withBus());
    for (const verb of ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'])
      stage.world.calls.fails(verb, new Unavailable('no'));
    const leaving = stage.leaves();
    leaving.catch(() => {});
    await stage.world.clock.run(20 * minute);
    expect(types(stage.world)).toEqual(['draining']);
    stage.world.calls.heals();
    await stage.world.clock.finish(leaving);
    await stage.world.clock.run(1_000);
    expect(types(stage.world)).toEqual(['draining', 'left']);
  });

  it.each(['hangs', 'fails'] as const)('never makes a departure wait: its bus %s', async (how) => {
    const took = async (stage: ReturnType<typeof setStage>) => {
      const start = stage.world.clock.uptime();
      await stage.leaves();
      return stage.world.clock.uptime() - start;
    };
    const without = await took(setStage());
    const stage = setStage(withBus());
    if (how === 'hangs') stage.world.calls.hangs('putEvent');
    else stage.world.calls.fails('putEvent', new Unavailable('away'));
    expect(await took(stage)).toBe(without);
    expect(stage.deeds()).toContain('completeHook');
  });

  it('hears `left` once, whatever the process that leaves lives through', async () => {
    const stage = setStage(withBus());
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'completeHook') stage.world.calls.crashAt(1, 'before');
    };
    stage.leaves().catch(() => {});
    await stage.world.clock.run(2 * minute);
    stage.world.calls.onCall = undefined;
    await stage.leaves({}, stage.world.restart());
    await stage.world.clock.run(minute);
    expect(types(stage.world)).toEqual(['draining', 'left']);
  });

  it('hears no `left` of a node that is only drained', async () => {
    const stage = setStage(withBus());
    await stage.leaves({ cause: 'operator', reason: 'a look', ending: 'remain', key: 'a' });
    await stage.world.clock.run(minute);
    expect(types(stage.world)).toEqual(['draining']);
  });

  it('hears of a full disk and of the freed one', async () => {
    const stage = setStage(withBus({ disk: { leave: false } }));
    const agent = stage.agent();
    await stage.world.clock.run(minute);
    stage.fillDisk(97);
    await stage.world.clock.run(20 * minute);
    stage.fillDisk(20);
    await stage.world.clock.run(20 * minute);
    await agent.stop();
    expect(types(stage.world)).toEqual(['joined', 'disk-full', 'disk-freed']);
    expect(stage.world.events[1]!.detail['disks']).toMatchObject([{ usedPercent: 97 }]);
  });

  it('hears of no freed disk while a person keeps a node whose disk is full', async () => {
    const stage = setStage(withBus());
    const agent = stage.agent();
    await stage.world.clock.run(minute);
    stage.fillDisk(97);
    await stage.world.clock.run(3 * minute);
    stage.world.metadata.tags = { 'aws:autoscaling:groupName': 'web', 'ecs-node:keep': '' };
    await stage.world.clock.run(20 * minute);
    await agent.stop();
    expect(stage.own.status).toBe('ACTIVE');
    expect(types(stage.world)).toEqual(['joined', 'disk-full']);
  });

  it('hears that a departure is called off', async () => {
    const stage = setStage(withBus());
    const agent = stage.agent();
    await stage.world.clock.run(minute);
    stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(97);
    await stage.world.clock.run(10 * minute);
    stage.fillDisk(20);
    await stage.world.clock.run(10 * minute);
    await agent.stop();
    expect(types(stage.world)).toEqual(['joined', 'disk-full', 'draining', 'stayed', 'disk-freed']);
    expect(stage.world.events[3]!.detail).toMatchObject({ cause: 'disk', reason: expect.stringContaining('over') });
  });
});
