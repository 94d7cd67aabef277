import { describe, expect, it } from 'vitest';
import { openQueueCheck, maxLeavingAtOnce } from '../../../agent/leave-queue/leave-queue.ts';
import { beginState, irrevocableOf, isRevocable, isUrgent, merge, strictest } from '../../../agent/departure/order.ts';
import { lastWordsFields, renderLastWords } from '../../../agent/departure/report-departure.ts';
import { heartbeatEveryMs } from '../../../agent/joining/heartbeats.ts';
import { judgeDisks, watchDisk } from '../../../agent/watchers/disk.ts';
import { judgeTarget } from '../../../agent/watchers/lifecycle.ts';
import { judgeMaintenance } from '../../../agent/watchers/maintenance.ts';
import { judgeSpot, leftMsOf } from '../../../agent/watchers/spot.ts';
import type { Order } from '../../../agent/watching/watcher.ts';
import { Unavailable } from '../../../core/errors.ts';
import type { MaintenanceEvent } from '../../../core/host.ts';
import { phases, type DepartureState } from '../../../core/state/state.ts';
import { parseMaintenance } from '../../../host/metadata/imds-answers.ts';
import { openFakeHost, type World } from '../../fakes/host.ts';
import { someDisk } from '../../fakes/machine.ts';
import { configOf, lazily, never, setStage, someOrder } from './stage.ts';

const config = configOf();
const hour = 3_600_000;
/** A host speaks for one instance: many nodes in one queue are played by as many records of it. */
const ownRecord = ({ cluster, identity }: World) => cluster.addInstance({ ec2InstanceId: identity.instanceId });
const now = Date.UTC(2030, 0, 1);

describe('the lifecycle watcher', () => {
  it('leaves when Auto Scaling wants the instance gone, and ignores any other state, known or not', () => {
    expect(judgeTarget('Terminated', true)).toMatchObject({ kind: 'doomed', ending: 'await' });
    for (const target of [undefined, 'InService']) expect(judgeTarget(target, true).kind).toBe('well');
    for (const target of ['Standby', 'Detached', 'SomethingNew'])
      expect(judgeTarget(target, true).kind).toBe('notable');
  });

  it('leaves for a while when Auto Scaling returns the node to its warm pool; a node still in it stays', () => {
    expect(judgeTarget('Warmed:Stopped', true)).toMatchObject({ kind: 'doomed', returns: true });
    expect(judgeTarget('Warmed:Terminated', true)).not.toHaveProperty('returns');
    for (const target of ['Warmed:Stopped', 'Warmed:Running', 'Warmed:Hibernated']) {
      expect(judgeTarget(target, false).kind).toBe('well');
    }
    expect(judgeTarget('Terminated', false).kind).toBe('doomed');
  });
});

describe('the spot watcher', () => {
  const times = { served: undefined, now, uptime: 5_000 };

  it('sets a deadline before the interruption, and expects the machine back unless it is terminated', () => {
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
  it('gives two minutes at most from the first sight, whatever the wall clock says', () => {
    const left = (ms: number, served?: number, isSteady = true) =>
      leftMsOf({ action: 'terminate', at: now + ms }, { ...times, served, isSteady });
    expect(left(360_000)).toBe(120_000);
    expect(left(-120_000)).toBe(120_000);
    expect(left(70_000)).toBe(70_000);
    // The metadata service's own clock counts, where it tells it.
    expect(left(360_000, now + 250_000)).toBe(110_000);
    expect(left(-120_000, now - 210_000)).toBe(90_000);
    expect(left(20_000, now)).toBe(20_000);
    // Once alone, it shortens nothing.
    expect(left(100_000, now + 90_000, false)).toBe(100_000);
    expect(left(100_000, now + 3_600_000, false)).toBe(120_000);
    expect(left(20_000, now, false)).toBe(20_000);
    // Without that, a clock 100 s fast left no second to stop the tasks.
    expect(left(20_000)).toBe(60_000);
  });

  it('obeys a notice without a known time, two minutes from its first sight', () => {
    expect(judgeSpot({ action: 'terminate' }, config, times)).toMatchObject({
      kind: 'doomed',
      key: 'spot:terminate:unknown',
      reason: 'spot interruption: terminate at an unknown time',
      deadlineUptime: 105_000,
    });
  });
});

describe('the maintenance watcher', () => {
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

  it("follows the event's code: failing hardware at once, a reboot within its lead time, an unknown code is only logged", () => {
    for (const code of ['instance-retirement', 'instance-stop'])
      expect(kind(event(code, now + 500 * hour))).toBe('doomed');
    for (const code of ['instance-reboot', 'system-reboot', 'system-maintenance']) {
      expect(kind(event(code, now + 3 * hour))).toBe('notable');
      expect(kind(event(code, now + 2 * hour))).toBe('doomed');
      expect(kind(event(code, undefined))).toBe('notable');
    }
    expect(kind(event('instance-teleport', now))).toBe('notable');
  });

  it('ends with a canceled or completed event, but not with another event beside it', () => {
    expect(kind(event('instance-stop', now, 'canceled'))).toBe('well');
    expect(kind(event('instance-stop', now, 'completed'))).toBe('well');
    expect(kind(event('system-reboot', now, 'canceled'), event('instance-stop', now + hour))).toBe('doomed');
    expect(kind()).toBe('well');
  });

  it('reports every event that asks for nothing yet, also those in an unknown state', () => {
    const odd = { ...event('instance-retirement', now), state: 'unknown' as const };
    const finding = judgeMaintenance([odd, event('instance-teleport', now)], config, times);
    expect(finding).toMatchObject({
      kind: 'notable',
      reason: expect.stringMatching(/instance-retirement in an unknown state.*; instance-teleport/),
    });
  });

  it('asks for a person where the node will never act by itself', () => {
    const needsPerson = (...events: MaintenanceEvent[]) => {
      const finding = judgeMaintenance(events, config, times);
      return finding.kind === 'notable' && finding.needsPerson === true;
    };
    const clear = event('system-reboot', now + 100 * hour);
    const oddRetirement = JSON.stringify([
      { Code: 'instance-retirement', State: 'active', NotBefore: 'soon 1' },
      { Code: 'system-reboot', State: 'completed' },
    ]);
    expect(needsPerson(clear)).toBe(false);
    expect(needsPerson(...parseMaintenance(oddRetirement))).toBe(true);
    expect(needsPerson(clear, { ...event('instance-stop', now), state: 'unknown' })).toBe(true);
    expect(needsPerson(event('instance-teleport', now))).toBe(true);
    expect(needsPerson(event('instance-reboot', undefined))).toBe(true);
  });

  it('keeps in the status that a person has to act', async () => {
    const stage = setStage(lazily());
    stage.world.metadata.maintenance = [event('instance-teleport', now)];
    stage.world.metadata.now = () => now;
    const agent = stage.agent();
    await stage.world.clock.run(2 * 60_000);
    expect(stage.status().watchers['maintenance']).toMatchObject({ finding: 'notable', needsPerson: true });
    await agent.stop();
  });

  it('takes the date as its deadline, unless that has passed', () => {
    expect(judgeMaintenance([event('instance-stop', now + hour)], config, times)).toMatchObject({
      deadline: now + hour,
      deadlineUptime: hour + 5,
    });
    expect(judgeMaintenance([event('instance-stop', now - hour)], config, times)).not.toHaveProperty('deadline');
  });

  it("ends when the event's last moment has passed, also while EC2 still lists it", () => {
    const late = { ...event('instance-stop', now - 2 * hour), notAfter: now - hour };
    expect(judgeMaintenance([late], config, times).kind).toBe('well');
    expect(judgeMaintenance([{ ...late, notAfter: now + hour }], config, times).kind).toBe('doomed');
  });
});

describe('the disk watcher', () => {
  it('reports full at the first threshold, freed below the second, and neither in between', () => {
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

  it('tells once which path it cannot measure, and again after it could', async () => {
    const { host, world } = setStage();
    const watcher = watchDisk(configOf());
    const told = async () => {
      for (let i = 0; i < 3; i++) await watcher.check(host, never).catch(() => {});
      return world.log.filter(({ message }) => message === 'disks not measured').length;
    };
    const { unmeasured } = world.machine;
    unmeasured.set('/', 'its file system hangs');
    expect(await told()).toBe(1);
    unmeasured.clear();
    expect(await told()).toBe(1);
    unmeasured.set('/', 'its file system hangs');
    expect(await told()).toBe(2);
  });

  // ECS places tasks on an ACTIVE node, and the old record is deregistered with them.
  it('does not make a node ACTIVE that registers anew, and does so afterwards', async () => {
    const { host, own } = setStage();
    own.status = 'DRAINING';
    own.attributes.set('ecs-node.leave.disk', '1');
    const knownFacts = { registersAnew: true };
    const watcher = watchDisk(configOf(), knownFacts);
    await expect(watcher.recover!(host, never)).rejects.toThrow('registers anew');
    expect(own.status).toBe('DRAINING');
    knownFacts.registersAnew = false;
    await watcher.recover!(host, never);
    expect(own.status).toBe('ACTIVE');
  });

  it('reports no full disk without a fixed number of inodes, or of size zero', () => {
    const odd = { ...someDisk('/'), totalInodes: 0, freeInodes: 0 };
    expect(judgeDisks([odd, { ...odd, totalBytes: 0, usedBytes: 0, freeBytes: 0 }], config).kind).toBe('well');
  });
});

describe('the leave queue', () => {
  it('lets a share of the fleet leave, and always one node', () => {
    expect([0, 1, 9, 10, 19, 20, 1000].map((nodes) => maxLeavingAtOnce(10, nodes))).toEqual([1, 1, 1, 1, 1, 2, 100]);
  });

  it('lets no more nodes leave than the share when many queue at once, and all of them in the end', async () => {
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
  it('does not overtake a node that has already left', async () => {
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
  it('does not overtake a node that queued and left meanwhile', async () => {
    const { host, world } = openFakeHost();
    const place = ({ arn }: { arn: string }) => ({ cluster: 'demo', arn });
    const [quick, late] = [place(ownRecord(world)), place(ownRecord(world))];
    const readQueue = host.cloud.readLeaveQueue;
    let isFirst = true;
    const hearsLate: typeof host = {
      ...host,
      clock: { ...host.clock, now: () => host.clock.now() - hour },
      cloud: {
        ...host.cloud,
        async readLeaveQueue(...given) {
          const queue = await readQueue(...given);
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
  it('do not both leave, whatever their clocks say', async () => {
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

describe('a late entry in the leave queue', () => {
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

  it('does not count where it was given up, although it is still visible', async () => {
    const queue = await setQueue();
    queue.arrives();
    expect(await queue.lateAsks()).toBe(false);
    queue.arrives();
    expect(await queue.lateAsks()).toBe(false);
    expect(queue.world.calls.of('unqueue')).toHaveLength(2);
  });

  it('is kept by a DRAINING node, because an earlier process left from it', async () => {
    const queue = await setQueue();
    queue.arrives();
    queue.late.status = 'DRAINING';
    expect(await queue.lateAsksAnew()).toBe(true);
    expect(queue.world.calls.verbs()).not.toContain('unqueue');
  });
});

describe('the merge of orders', () => {
  const order = (more: Partial<Order>) => someOrder(more);

  it('gives a decision from outside precedence, and keeps the earliest deadline of all', () => {
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

  it("ignores an order that echoes the node's own termination", () => {
    const asked = { askedToEndAt: now };
    const own: DepartureState = {
      ...beginState(order({}), config, 'i-1', 'b', now),
      phase: 'hook',
      irrevocable: asked,
    };
    expect(merge(own, order({ cause: 'scale-in', ending: 'await', key: 'target:Terminated' }), config, now)).toBe(own);
    const early: DepartureState = { ...own, phase: 'tasks', irrevocable: {} };
    expect(merge(early, order({ cause: 'scale-in', ending: 'await' }), config, now)).toMatchObject({
      cause: 'scale-in',
      phase: 'announce',
    });
    expect(merge(early, order({}), config, now)).toBe(early);
  });

  it('makes a departure urgent for a short deadline, but only for one that does not move', () => {
    const state = beginState(order({ cause: 'maintenance', deadline: now + 60_000 }), config, 'i-1', 'b', now);
    expect(isUrgent(state, config, 60_000)).toBe(true);
    expect(isUrgent(state, config, 600_000)).toBe(false);
    expect(isUrgent(beginState(order({}), config, 'i-1', 'b', now), config, 1_000)).toBe(false);
  });

  it('is irrevocable after the registrar was left or the end was requested: its deeds count, not its phase', () => {
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

  it('counts the phases of a departure that version 0.1.0 began as done', () => {
    const { irrevocable: _, ...old } = beginState(order({}), config, 'i-1', 'b', now);
    const entered = { announce: 1, balancers: 2, drain: 3, tasks: 4 };
    expect(isRevocable({ ...old, phase: 'tasks', entered })).toBe(true);
    expect(isRevocable({ ...old, phase: 'registrar', entered: { ...entered, registrar: 5 } })).toBe(false);
    expect(irrevocableOf({ ...old, phase: 'tasks', entered })).toEqual({ ranHooksAt: 1, leftBalancersAt: 2 });
  });
});

describe('texts and times', () => {
  it('fit into a tag, however long the reason', () => {
    const state = beginState(someOrder({ reason: 'x'.repeat(1000) }), config, 'i-1', 'b', now);
    expect(renderLastWords(state).length).toBe(255);
  });

  it('name no phase that took no time', () => {
    expect(renderLastWords(beginState(someOrder({ reason: 'full' }), config, 'i-1', 'b', now))).toBe('disk: full');
  });

  it('end in a tag at the end of a word, because half of an ARN names nothing', () => {
    const reason = `${'x'.repeat(200)} arn:aws:ecs:us-east-1:123456789012:task/demo/${'0'.repeat(32)}`;
    const state = beginState(someOrder({ reason }), config, 'i-1', 'b', now);
    expect(renderLastWords(state)).toBe(`disk: ${'x'.repeat(200)}…`);
  });

  it('log the phases that took time in one field, and no empty list', () => {
    const state = beginState(someOrder({ reason: 'first try' }), config, 'i-1', 'b', now);
    const entered = { announce: now, balancers: now + 10_000, drain: now + 10_000 };
    expect(lastWordsFields({ ...state, entered, blockers: ['task/1'] })).toEqual({
      cause: 'disk',
      reason: 'first try',
      blockers: ['task/1'],
      phases: 'announce=10s balancers=0s',
    });
  });

  it('give heartbeats half of the timeout, within sensible limits', () => {
    expect([30, 10, 300, 7200].map((heartbeatSeconds) => heartbeatEveryMs({ heartbeatSeconds }))).toEqual([
      15_000, 10_000, 150_000, 900_000,
    ]);
  });
});
