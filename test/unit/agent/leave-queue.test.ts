/** Nodes queue in ECS before they drain by themselves. */

import { describe, expect, it } from 'vitest';
import { readLivingHealth } from '../../../agent/leave-queue/dead-records.ts';
import { isQueued, maxLeavingAtOnce, openQueueCheck } from '../../../agent/leave-queue/leave-queue.ts';
import { openQueuePosition } from '../../../agent/leave-queue/queue-position.ts';
import { messageOf, Refused, Unavailable } from '../../../core/errors.ts';
import { propagationMs } from '../../../core/retry.ts';
import { never, setStage, type Stage } from './stage.ts';

const key = 'ecs-node.leave.disk';
const refOf = ({ own }: Stage) => ({ cluster: 'demo', arn: own.arn });

describe('an entry in the leave queue', () => {
  const looksUp = (stage: Stage, ref: ReturnType<typeof refOf> | undefined = refOf(stage)) =>
    stage.world.clock.finish(isQueued(stage.host, ref, 'disk', never));

  it('is there where the queue or the record of the node shows it', async () => {
    const stage = setStage();
    stage.world.cluster.addInstance().attributes.set(key, '1');
    expect(await looksUp(stage)).toBe(false);
    stage.own.attributes.set('ecs-node.leave.docker', '1');
    expect(await looksUp(stage)).toBe(false);
    stage.own.attributes.set(key, '1');
    expect(await looksUp(stage)).toBe(true);
    // One empty list: the queue is read by a filter, and the record by its name.
    stage.host.cloud = { ...stage.host.cloud, readLeaveQueue: async () => [] };
    expect(await looksUp(stage)).toBe(true);
    const late = setStage();
    late.own.attributes.set(key, '1');
    const { readContainerInstance } = late.host.cloud;
    late.host.cloud.readContainerInstance = async (...args) => {
      const record = await readContainerInstance(...args);
      return record && { ...record, queuedFor: [] };
    };
    expect(await looksUp(late)).toBe(true);
  });

  it('is not known to be gone where ECS names no record of the node', async () => {
    const stage = setStage();
    await expect(stage.world.clock.finish(isQueued(stage.host, undefined, 'disk', never))).rejects.toThrow(Unavailable);
    stage.host.cloud = { ...stage.host.cloud, readContainerInstance: async () => undefined };
    await expect(looksUp(stage)).rejects.toThrow('ECS does not know this node');
  });
});

it('a node whose entry ECS shows no longer is queued until that has lasted for a minute', async () => {
  const stage = setStage();
  const { clock } = stage.world;
  const position = openQueuePosition('disk', 50, {});
  expect(await clock.finish(position.mayLeave(stage.host, refOf(stage), never))).toBe(true);
  stage.own.attributes.delete(key);
  const answers: (boolean | undefined)[] = [];
  for (let n = 0; n < 10; n++) {
    answers.push(await clock.finish(position.isQueued(stage.host, refOf(stage), never).catch(() => undefined)));
    await clock.run(30_000);
  }
  expect(answers.slice(0, 2)).toEqual([undefined, undefined]);
  expect(answers.slice(-5)).toEqual([false, false, false, false, false]);
});

describe('a node that queues', () => {
  /** A node in a cluster of ten, of which one may leave at a time. */
  const inCluster = () => {
    const stage = setStage();
    const others = Array.from({ length: 9 }, () => stage.world.cluster.addInstance());
    const check = openQueueCheck();
    const mayLeave = () => stage.world.clock.finish(check(stage.host, refOf(stage), 'disk', 10, never));
    return { stage, others, mayLeave };
  };

  it('waits behind one that queued before, and leaves after it', async () => {
    const { stage, others, mayLeave } = inCluster();
    others[0]!.attributes.set(key, '1');
    const began = stage.host.clock.uptime();
    expect(await mayLeave()).toBe(false);
    // Every other node can see its entry by then, and it sees theirs.
    expect(stage.host.clock.uptime() - began).toBeGreaterThanOrEqual(3 * propagationMs);
    others[0]!.attributes.delete(key);
    expect(await mayLeave()).toBe(true);
    expect(stage.world.calls.of('queueToLeave')).toHaveLength(1);
  });

  it('takes no place in front of one that is queued, however slow its clock is', async () => {
    const { stage, others, mayLeave } = inCluster();
    const ahead = stage.host.clock.now() + 3_600_000;
    others[0]!.attributes.set(key, String(ahead));
    expect(await mayLeave()).toBe(false);
    expect(Number(stage.own.attributes.get(key))).toBe(ahead + 1);
  });

  it.each([
    ['runs, although its ECS agent is away', [], true, false],
    ['EC2 does not run', ['dead'], true, true],
    ['EC2 does not know, because it is external', ['dead', 'external'], true, false],
    ['has a living record beside this one', ['replaced'], true, true],
    ['is this node, whose ECS agent is away', ['own'], true, true],
    ['EC2 may not be asked about', ['dead', 'refused'], true, false],
    ['is connected', ['dead'], false, false],
  ])('waits behind a node, unless it is dead: one that %s', async (_, how, isAway, may) => {
    const { stage, others, mayLeave } = inCluster();
    const [first] = others;
    const { cluster, instance, calls } = stage.world;
    first!.attributes.set(key, '1');
    first!.agentConnected = !isAway;
    if (how.includes('external')) first!.ec2InstanceId = 'mi-0123456789abcdef0';
    if (how.includes('dead')) instance.dead.add(first!.ec2InstanceId);
    if (how.includes('replaced')) cluster.addInstance({ ec2InstanceId: first!.ec2InstanceId });
    if (how.includes('own')) {
      first!.ec2InstanceId = stage.own.ec2InstanceId;
      stage.own.agentConnected = false;
    }
    if (how.includes('refused')) calls.fails('readRunning', new Refused('denied', { code: 'UnauthorizedOperation' }));
    expect(await mayLeave()).toBe(may);
  });

  it('queues anew where the entry of an earlier process drained nothing, and keeps one that did', async () => {
    const { stage, mayLeave } = inCluster();
    stage.own.attributes.set(key, '1');
    expect(await mayLeave()).toBe(false);
    expect(stage.own.attributes.size).toBe(0);
    stage.own.attributes.set(key, '1');
    stage.own.status = 'DRAINING';
    expect(await mayLeave()).toBe(true);
    expect(stage.own.attributes.get(key)).toBe('1');
  });

  it.each([
    ['says once that it is ACTIVE', 'ACTIVE', true],
    ['names no record of it once', undefined, 'ECS does not know this node, so nothing can be undone'],
  ])('keeps the entry of an earlier process that drained it, where ECS %s', async (_, status, answer) => {
    const { stage, mayLeave } = inCluster();
    stage.own.attributes.set(key, '1');
    stage.own.status = 'DRAINING';
    let lies = 1;
    const { readContainerInstance } = stage.host.cloud;
    stage.host.cloud.readContainerInstance = async (...all) => {
      const record = await readContainerInstance(...all);
      if (lies-- < 1) return record;
      return record && status !== undefined ? { ...record, status } : undefined;
    };
    expect(await mayLeave().catch(messageOf)).toBe(answer);
    expect(stage.own.attributes.get(key)).toBe('1');
  });

  it('waits where the queue does not show its entry', async () => {
    const { stage, mayLeave } = inCluster();
    stage.host.cloud = { ...stage.host.cloud, readLeaveQueue: async () => [] };
    expect(await mayLeave()).toBe(false);
  });

  it('waits where its entry was written so late that others may have missed it', async () => {
    const { stage, mayLeave } = inCluster();
    stage.world.calls.delays('queueToLeave', 14_000, 1);
    expect(await mayLeave()).toBe(false);
    expect(stage.own.attributes.size).toBe(0);
    expect(await mayLeave()).toBe(true);
  });

  it.each([
    [10, 9, 1],
    [10, 20, 2],
    [10, 29, 2],
    [1, 50, 1],
    [10, 0, 1],
  ])('leaves beside others up to %d %% of %d nodes: %d', (percent, registered, most) => {
    expect(maxLeavingAtOnce(percent, registered)).toBe(most);
  });
});

describe('the health of the cluster', () => {
  const look = ({ host, world }: Stage) => world.clock.finish(readLivingHealth(host, 'demo', never));

  it('counts no dead record, and each living node once', async () => {
    const stage = setStage();
    const { cluster, instance } = stage.world;
    const away = cluster.addInstance({ agentConnected: false });
    expect(await look(stage)).toEqual({ registered: 2, disconnected: 1 });
    cluster.addInstance({ agentConnected: false, ec2InstanceId: away.ec2InstanceId });
    expect(await look(stage)).toEqual({ registered: 2, disconnected: 1 });
    instance.dead.add(away.ec2InstanceId);
    expect(await look(stage)).toEqual({ registered: 1, disconnected: 0 });
  });

  it('counts this node although its ECS agent is away', async () => {
    const stage = setStage();
    stage.own.agentConnected = false;
    expect(await look(stage)).toEqual({ registered: 1, disconnected: 1 });
  });

  it('is not known while EC2 is silent', async () => {
    const stage = setStage();
    stage.world.cluster.addInstance({ agentConnected: false });
    stage.world.calls.fails('readRunning', new Unavailable('throttled'));
    await expect(look(stage)).rejects.toThrow('throttled');
  });
});
