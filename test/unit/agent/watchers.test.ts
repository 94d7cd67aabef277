import { describe, expect, it } from 'vitest';
import { openQueueCheck, maxLeavingAtOnce } from '../../../agent/leave-queue/leave-queue.ts';
import { beginState, irrevocableOf, isRevocable, isUrgent, merge, strictest } from '../../../agent/departure/order.ts';
import { renderLastWords } from '../../../agent/departure/report-departure.ts';
import { heartbeatEveryMs } from '../../../agent/joining/heartbeats.ts';
import { judgeDisks } from '../../../agent/watchers/disk.ts';
import { judgeTarget } from '../../../agent/watchers/lifecycle.ts';
import { judgeMaintenance } from '../../../agent/watchers/maintenance.ts';
import { judgeSpot, leftMsOf } from '../../../agent/watchers/spot.ts';
import type { Order } from '../../../agent/watching/watcher.ts';
import { Unavailable } from '../../../core/errors.ts';
import { phases, type DepartureState } from '../../../core/state/state.ts';
import { openFakeHost, type World } from '../../fakes/host.ts';
import { someDisk } from '../../fakes/machine.ts';
import { configOf, never, someOrder } from './stage.ts';

const config = configOf();
const hour = 3_600_000;
/** A host speaks for one instance: many nodes in one queue are played by as many records of it. */
const ownRecord = ({ cluster, identity }: World) => cluster.addInstance({ ec2InstanceId: identity.instanceId });
const now = Date.UTC(2030, 0, 1);

describe('Auto Scaling', () => {
  it('that wants the instance gone is obeyed, and nothing else it may say, known or not', () => {
    expect(judgeTarget('Terminated', true)).toMatchObject({ kind: 'doomed', ending: 'await' });
    for (const target of [undefined, 'InService']) expect(judgeTarget(target, true).kind).toBe('well');
    for (const target of ['Standby', 'Detached', 'SomethingNew'])
      expect(judgeTarget(target, true).kind).toBe('notable');
  });

  it('that takes a node back into its warm pool makes it leave for a while; one that is still in it stays', () => {
    expect(judgeTarget('Warmed:Stopped', true)).toMatchObject({ kind: 'doomed', returns: true });
    expect(judgeTarget('Warmed:Terminated', true)).not.toHaveProperty('returns');
    for (const target of ['Warmed:Stopped', 'Warmed:Running', 'Warmed:Hibernated']) {
      expect(judgeTarget(target, false).kind).toBe('well');
    }
    expect(judgeTarget('Terminated', false).kind).toBe('doomed');
  });
});

describe('a spot notice', () => {
  const times = { served: undefined, now, uptime: 5_000 };

  it('sets a deadline before the interruption, whose machine comes back unless it is terminated', () => {
    const notice = (action: 'terminate' | 'stop' | 'hibernate') =>
      judgeSpot({ action, at: now + 120_000 }, config, times);
    expect(notice('terminate')).toMatchObject({
      kind: 'doomed',
      deadline: now + 100_000,
      deadlineUptime: 105_000,
      ending: 'await',
    });
    expect(notice('terminate')).not.toHaveProperty('returns');
    expect(notice('stop')).toMatchObject({ returns: true });
    expect(notice('hibernate')).toMatchObject({ returns: true });
    expect(judgeSpot({ action: 'stop', at: now }, configOf({ spot: { action: 'log' } }), times).kind).toBe('notable');
  });

  // A clock four minutes slow: no StopTask, and the task was killed. Four minutes fast: StopTask at
  // once, gone after 0.1 s.
  it('gives two minutes at most from when it is first seen, whatever the wall clock says', () => {
    const left = (ms: number, served?: number) => leftMsOf({ action: 'terminate', at: now + ms }, { ...times, served });
    expect(left(360_000)).toBe(120_000);
    expect(left(-120_000)).toBe(120_000);
    expect(left(70_000)).toBe(70_000);
    // The metadata service's own clock counts, where it tells it.
    expect(left(360_000, now + 250_000)).toBe(110_000);
    expect(left(-120_000, now - 210_000)).toBe(90_000);
  });
});

describe('scheduled maintenance', () => {
  const event = (
    code: string,
    notBefore: number | undefined,
    state: 'active' | 'canceled' | 'completed' = 'active',
  ) => ({
    id: `${code}-1`,
    code,
    state,
    description: '',
    ...(notBefore !== undefined && { notBefore }),
  });
  const times = { now, uptime: 5 };
  const kind = (...events: ReturnType<typeof event>[]) => judgeMaintenance(events, config, { now, uptime: 0 }).kind;

  it('by its code: failing hardware at once, a reboot within its lead time, an unknown code is only logged', () => {
    for (const code of ['instance-retirement', 'instance-stop'])
      expect(kind(event(code, now + 500 * hour))).toBe('doomed');
    for (const code of ['instance-reboot', 'system-reboot', 'system-maintenance']) {
      expect(kind(event(code, now + 3 * hour))).toBe('notable');
      expect(kind(event(code, now + 2 * hour))).toBe('doomed');
      expect(kind(event(code, undefined))).toBe('notable');
    }
    expect(kind(event('instance-teleport', now))).toBe('notable');
  });

  it('is over when canceled or completed, but not for another event beside it', () => {
    expect(kind(event('instance-stop', now, 'canceled'))).toBe('well');
    expect(kind(event('instance-stop', now, 'completed'))).toBe('well');
    expect(kind(event('system-reboot', now, 'canceled'), event('instance-stop', now + hour))).toBe('doomed');
    expect(kind()).toBe('well');
  });

  it('has the date as its deadline, unless that has passed', () => {
    expect(judgeMaintenance([event('instance-stop', now + hour)], config, times)).toMatchObject({
      deadline: now + hour,
      deadlineUptime: hour + 5,
    });
    expect(judgeMaintenance([event('instance-stop', now - hour)], config, times)).not.toHaveProperty('deadline');
  });

  it('is over when its last moment has passed, also where the list has not forgotten it', () => {
    const late = { ...event('instance-stop', now - 2 * hour), notAfter: now - hour };
    expect(judgeMaintenance([late], config, times).kind).toBe('well');
    expect(judgeMaintenance([{ ...late, notAfter: now + hour }], config, times).kind).toBe('doomed');
  });
});

describe('a disk', () => {
  it('is full at the first threshold, freed below the second, and neither in between', () => {
    const judge = (percent: number, inodes = 1) => judgeDisks([someDisk('/', percent, inodes)], config);
    expect(judge(79).kind).toBe('well');
    // `df` rounds up.
    expect(judge(79.1)).toMatchObject({ kind: 'ailing', mild: true });
    expect(judge(90)).not.toHaveProperty('mild');
    expect(judge(10, 95)).toMatchObject({ kind: 'ailing', reason: 'disk full: inodes of / 95 %' });
    expect(judge(95)).toMatchObject({ treatments: 1, thenLeave: true });
    const keep = judgeDisks([someDisk('/', 95)], configOf({ disk: { leave: false } }));
    expect(keep).toMatchObject({ thenLeave: false });
  });

  it('without a fixed number of inodes, or of size nothing, is not full', () => {
    const odd = { ...someDisk('/'), totalInodes: 0, freeInodes: 0 };
    expect(judgeDisks([odd, { ...odd, totalBytes: 0, usedBytes: 0, freeBytes: 0 }], config).kind).toBe('well');
  });
});

describe('the leave queue', () => {
  it('lets a share of the fleet go, and always one', () => {
    expect([0, 1, 9, 10, 19, 20, 1000].map((nodes) => maxLeavingAtOnce(10, nodes))).toEqual([1, 1, 1, 1, 1, 2, 100]);
  });

  it('lets no two nodes more go than the share when many ask at the same moment, and all of them in the end', async () => {
    const { host, world } = openFakeHost();
    for (let n = 0; n < 50; n++) ownRecord(world);
    const gone: string[] = [];
    const queueChecks = new Map(world.cluster.instances.map(({ arn }) => [arn, openQueueCheck()]));
    let waiting = world.cluster.instances.slice();
    while (waiting.length > 0) {
      const answers = await world.clock.finish(
        Promise.all(waiting.map(({ arn }) => queueChecks.get(arn)!(host, { cluster: 'demo', arn }, 'disk', 10, never))),
      );
      const going = waiting.filter((_, index) => answers[index]);
      expect(going.length).toBeLessThanOrEqual(Math.max(1, Math.floor(world.cluster.instances.length / 10)));
      expect(going.length).toBeGreaterThan(0);
      gone.push(...going.map(({ arn }) => arn));
      world.cluster.instances = world.cluster.instances.filter((instance) => !going.includes(instance));
      waiting = waiting.filter((instance) => !going.includes(instance));
    }
    expect(gone).toHaveLength(50);
  });
});

describe('a node whose clock is slow', () => {
  it('does not get in front of a node that has already left', async () => {
    const { host, world } = openFakeHost();
    const open = ({ arn }: { arn: string }) => {
      const mayGo = openQueueCheck();
      return () => world.clock.finish(mayGo(host, { cluster: 'demo', arn }, 'disk', 10, never));
    };
    const [first, slow] = [open(ownRecord(world)), open(ownRecord(world))];
    expect(await first()).toBe(true);
    world.clock.jump(-hour);
    expect(await slow()).toBe(false);
    expect(await first()).toBe(true);
  });
});

describe('a node that reads the queue late', () => {
  // The answer took 20 s, in which another node queued and left. With a slow clock, this node's
  // entry was in front of it.
  it('does not get in front of a node that queued and left meanwhile', async () => {
    const { host, world } = openFakeHost();
    const place = ({ arn }: { arn: string }) => ({ cluster: 'demo', arn });
    const [quick, late] = [place(ownRecord(world)), place(ownRecord(world))];
    const heard = host.cloud.readLeaveQueue;
    let isFirst = true;
    const hearsLate: typeof host = {
      ...host,
      clock: { ...host.clock, now: () => host.clock.now() - hour },
      cloud: {
        ...host.cloud,
        async readLeaveQueue(...given) {
          const queue = await heard(...given);
          if (isFirst) await host.clock.sleep(20_000, never);
          isFirst = false;
          return queue;
        },
      },
    };
    const [lateGoes, quickGoes] = [openQueueCheck(), openQueueCheck()];
    const asked = lateGoes(hearsLate, late, 'disk', 10, never);
    expect(await world.clock.finish(quickGoes(host, quick, 'disk', 10, never))).toBe(true);
    expect(await world.clock.finish(asked)).toBe(false);
    expect(await world.clock.finish(lateGoes(hearsLate, late, 'disk', 10, never))).toBe(false);
  });
});

describe('nodes that read the queue as it was seconds ago', () => {
  // The second node had not seen the first, whose clock was ten minutes ahead. Its entry was in
  // front when the first had already left.
  it('do not both go, whatever their clocks say', async () => {
    const { host, world } = openFakeHost();
    const place = ({ arn }: { arn: string }) => ({ cluster: 'demo', arn });
    const [first, second] = [place(ownRecord(world)), place(ownRecord(world))];
    const seen: { at: number; queue: Awaited<ReturnType<typeof host.cloud.readLeaveQueue>> }[] = [];
    const record = async () => {
      seen.push({ at: host.clock.uptime(), queue: await host.cloud.readLeaveQueue('demo', 'disk', never) });
      world.clock.schedule(500, () => void record());
    };
    await record();
    const readLeaveQueue = async () => seen.findLast(({ at }) => at <= host.clock.uptime() - 4_500)?.queue ?? [];
    const hearsLate: typeof host = { ...host, cloud: { ...host.cloud, readLeaveQueue } };
    const isAhead: typeof host = { ...hearsLate, clock: { ...host.clock, now: () => host.clock.now() + hour } };
    const goes = [
      openQueueCheck()(isAhead, first, 'disk', 10, never),
      host.clock.sleep(4_000, never).then(() => openQueueCheck()(hearsLate, second, 'disk', 10, never)),
    ];
    expect(await world.clock.finish(Promise.all(goes))).toEqual([false, true]);
  });
});

describe('a queue entry that may have come late', () => {
  /**
   * Two nodes of a small cluster. The first node's call to join the queue gets no answer, and takes
   * effect when the test says so.
   */
  async function setQueue() {
    const { host, world } = openFakeHost();
    const [late, other] = [ownRecord(world), ownRecord(world)];
    const asks = (arn: string, mayGo = openQueueCheck()) => {
      return () => world.clock.finish(mayGo(host, { cluster: 'demo', arn }, 'disk', 10, never));
    };
    const brake = openQueueCheck();
    const asked = world.clock.now();
    world.calls.hangs('queueToLeave', 1);
    await expect(asks(late.arn, brake)()).rejects.toThrow(Unavailable);
    return {
      world,
      late,
      arrives: () => void late.attributes.set('ecs-node.leave.disk', String(asked)),
      lateAsks: asks(late.arn, brake),
      /** As by another process. */
      lateAsksAnew: asks(late.arn),
      otherAsks: asks(other.arn),
      otherIsGone: () => void other.attributes.clear(),
    };
  }

  it('does not count: the node queues again, behind the nodes that have left meanwhile', async () => {
    for (const who of ['lateAsks', 'lateAsksAnew'] as const) {
      const queue = await setQueue();
      expect(await queue.otherAsks()).toBe(true);
      // In front of the node that has left.
      queue.arrives();
      expect(await queue[who]()).toBe(false);
      expect(await queue[who]()).toBe(false);
      expect(await queue.otherAsks()).toBe(true);
      queue.otherIsGone();
      expect(await queue[who]()).toBe(true);
    }
  });

  it('does not count when it replaces the entry that was written after it', async () => {
    const queue = await setQueue();
    expect(await queue.lateAsks()).toBe(true);
    queue.arrives();
    expect(await queue.lateAsks()).toBe(false);
    expect(await queue.lateAsks()).toBe(true);
  });

  it('is none, though it is still to be seen where it was given up', async () => {
    const queue = await setQueue();
    queue.arrives();
    expect(await queue.lateAsks()).toBe(false);
    queue.arrives();
    expect(await queue.lateAsks()).toBe(false);
    expect(queue.world.calls.of('unqueue')).toHaveLength(2);
  });

  it('is kept by a node that is DRAINING already: a process that died had gone from it', async () => {
    const queue = await setQueue();
    queue.arrives();
    queue.late.status = 'DRAINING';
    expect(await queue.lateAsksAnew()).toBe(true);
    expect(queue.world.calls.verbs()).not.toContain('unqueue');
  });
});

describe('of several orders', () => {
  const order = (more: Partial<Order>) => someOrder(more);

  it("a decision from outside counts more than the node's own reasons, and the earliest deadline counts for all", () => {
    const disk = order({});
    const scaleIn = order({ cause: 'scale-in', ending: 'await', key: 'target:Terminated' });
    const spot = order({ cause: 'spot', ending: 'await', key: 'spot', deadline: now, returns: true });
    const rebalance = order({ cause: 'rebalance', ending: 'remain', key: 'r', undoAfterMs: 1 });
    const maintenance = order({ cause: 'maintenance', key: 'm', deadline: now + hour });
    expect(strictest([disk, rebalance])?.cause).toBe('disk');
    expect(strictest([disk, maintenance])?.cause).toBe('maintenance');
    expect(strictest([disk, scaleIn])).toMatchObject({ cause: 'scale-in' });
    expect(strictest([scaleIn, spot])).toMatchObject({ cause: 'spot', deadline: now });
    expect(strictest([scaleIn, maintenance])).toMatchObject({ cause: 'scale-in', deadline: now + hour });
    // A machine that is also terminated does not come back.
    expect(strictest([scaleIn, spot])).not.toHaveProperty('returns');
    expect(strictest([spot, rebalance])).toHaveProperty('returns');
    expect(strictest([])).toBeUndefined();
  });

  it("one that echoes the node's own termination changes nothing", () => {
    const asked = { askedToEndAt: now };
    const own: DepartureState = {
      ...beginState(order({}), config, 'i-1', 'b', now),
      phase: 'hook',
      irrevocable: asked,
    };
    expect(merge(own, order({ cause: 'scale-in', ending: 'await', key: 'target:Terminated' }))).toBe(own);
    const early: DepartureState = { ...own, phase: 'tasks', irrevocable: {} };
    expect(merge(early, order({ cause: 'scale-in', ending: 'await' }))).toMatchObject({
      cause: 'scale-in',
      phase: 'announce',
    });
    expect(merge(early, order({}))).toBe(early);
  });

  it('a short deadline makes a departure urgent, and only one that does not move', () => {
    const state = beginState(order({ cause: 'maintenance', deadline: now + 60_000 }), config, 'i-1', 'b', now);
    expect(isUrgent(state, config, 60_000)).toBe(true);
    expect(isUrgent(state, config, 600_000)).toBe(false);
    expect(isUrgent(beginState(order({}), config, 'i-1', 'b', now), config, 1_000)).toBe(false);
  });

  it('none can be taken back once the registrar was left, or the end was asked for: by its deeds, not by its phase', () => {
    const state = beginState(order({}), config, 'i-1', 'b', now);
    expect(phases.every((phase) => isRevocable({ ...state, phase }))).toBe(true);
    for (const irrevocable of [{ deregisteredAt: now }, { askedToEndAt: now }]) {
      expect(isRevocable({ ...state, irrevocable })).toBe(false);
      expect(isRevocable({ ...state, ending: 'remain', irrevocable })).toBe(true);
    }
    expect(isRevocable({ ...state, irrevocable: { leftBalancersAt: now, ranHooksAt: now, stoppedTasksAt: now } })).toBe(
      true,
    );
  });

  it('one that version 0.1.0 has begun has done what its phases may have done', () => {
    const { irrevocable: _, ...old } = beginState(order({}), config, 'i-1', 'b', now);
    const entered = { announce: 1, balancers: 2, drain: 3, tasks: 4 };
    expect(isRevocable({ ...old, phase: 'tasks', entered })).toBe(true);
    expect(isRevocable({ ...old, phase: 'registrar', entered: { ...entered, registrar: 5 } })).toBe(false);
    expect(irrevocableOf({ ...old, phase: 'tasks', entered })).toEqual({ ranHooksAt: 1, leftBalancersAt: 2 });
  });
});

describe('words and times', () => {
  it('fit into a tag, however long the reason', () => {
    const state = beginState(someOrder({ reason: 'x'.repeat(1000) }), config, 'i-1', 'b', now);
    expect(renderLastWords(state).length).toBe(255);
  });

  it('heartbeats come at half the time-out, within sensible limits', () => {
    expect([30, 10, 300, 7200].map((heartbeatSeconds) => heartbeatEveryMs({ heartbeatSeconds }))).toEqual([
      15_000, 10_000, 150_000, 900_000,
    ]);
  });
});
