import { expect, it } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import { someBalancer } from '../../../../fakes/cloud/balancers.ts';
import { minute, hour, inService as inServiceWith } from '../../running/in-service.ts';
import { configOf, setStage } from '../../stage.ts';
import { targetGroup } from '../leave/orders.ts';

/** A node that waits for a task without an end, because its disk is full. */
async function waiting(drainSeconds = 3600) {
  const on = await inServiceWith(configOf({ leave: { drainSeconds } }));
  const { stage, run } = on;
  stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  stage.fillDisk(97);
  for (let i = 0; i < 400 && stage.departure()?.phase !== 'tasks'; i++) await run(5_000);
  expect(stage.departure().phase).toBe('tasks');
  const deadline = stage.departure().uptimes!.tasks! + drainSeconds * 1000;
  return { ...on, untilDeadline: (ms: number) => run(deadline - ms - stage.world.clock.uptime()) };
}

it('a disk that is free just before the deadline costs no task', async () => {
  const { stage, run, agent, untilDeadline } = await waiting();
  await untilDeadline(10_000);
  stage.fillDisk(20);
  await run(10 * minute);
  expect(stage.deeds()).not.toContain('stopTask');
  expect(stage.own.status).toBe('ACTIVE');
  await agent.stop();
});

it('a person who holds a node that has just begun to leave keeps its tasks', async () => {
  const { stage, run, agent } = await waiting(30);
  await run(10_000);
  stage.world.instance.tags['ecs-node:keep'] = 'please';
  await run(10 * minute);
  expect(stage.deeds()).not.toContain('stopTask');
  await agent.stop();
});

it.each([
  ['stops its tasks', 'stoppedTasksAt'],
  ['leaves its registrar', 'deregisteredAt'],
])('a disk that is freed while the machine stands still right before it %s costs nothing', async (_, deed) => {
  const { stage, run, agent, untilDeadline } = await waiting();
  const { calls, clock, cluster } = stage.world;
  if (deed === 'deregisteredAt') cluster.tasks = [];
  calls.onCall = ({ verb, args }) => {
    if (verb !== 'writeText' || !String(args[1]).includes(`"${deed}"`)) return;
    calls.onCall = undefined;
    stage.fillDisk(20);
    clock.standStill(2 * hour);
  };
  await untilDeadline(0);
  await run(10 * minute);
  expect(calls.onCall).toBeUndefined();
  expect(stage.deeds()).not.toContain('stopTask');
  expect(stage.deregistered).toEqual([]);
  expect(stage.own.status).toBe('ACTIVE');
  await agent.stop();
});

it.each(['confirmedAt', 'leftBalancersAt'])(
  'a disk that is freed while the machine stands still at the note %s costs no load balancer',
  async (note) => {
    const stage = setStage(configOf({ leave: { targetGroups: [targetGroup], drainSeconds: 60 } }));
    const { balancers, calls, clock } = stage.world;
    balancers.targetGroups.set(targetGroup, someBalancer(1_000));
    const agent = stage.agent();
    await clock.run(minute);
    calls.onCall = ({ verb, args }) => {
      if (verb !== 'writeText' || !String(args[1]).includes(`"${note}"`)) return;
      calls.onCall = undefined;
      stage.fillDisk(20);
      clock.standStill(2 * hour);
    };
    stage.fillDisk(97);
    await clock.run(30 * minute);
    await clock.run(10 * minute);
    expect(calls.onCall).toBeUndefined();
    expect(stage.deeds()).not.toContain('deregisterTarget');
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  },
);

it.each(['tag', 'Standby'])('a person who holds a leaving node keeps its tasks and its registrar (%s)', async (how) => {
  const { stage, run, agent } = await waiting();
  const { world, group } = stage;
  if (how === 'tag') world.instance.tags['ecs-node:keep'] = 'please';
  else [group.lifecycleState, world.metadata.targetState] = ['Standby', 'Standby'];
  await run(2 * hour);
  expect(stage.deeds()).not.toContain('stopTask');
  expect(stage.deregistered).toEqual([]);
  await agent.stop();
});

it('a second source that is silent at the deadline keeps no task', async () => {
  const { stage, run, agent, untilDeadline } = await waiting();
  await untilDeadline(minute);
  stage.world.calls.fails('readContainerInstance', new Unavailable('HTTP 503'));
  await run(2 * minute);
  stage.world.calls.heals();
  await run(5 * minute);
  expect(stage.deeds()).toContain('stopTask');
  await agent.stop();
});

it('a node whose ECS agent connects while its load balancers drain keeps its registrar', async () => {
  const leave = { targetGroups: [targetGroup], deregistrationSeconds: 300 };
  const stage = setStage(configOf({ leave, join: { timeoutSeconds: 60 } }));
  const { world } = stage;
  world.balancers.targetGroups.set(targetGroup, someBalancer(300_000));
  stage.own.agentConnected = false;
  const agent = stage.agent();
  for (let i = 0; i < 200 && stage.departure()?.confirmedAt === undefined; i++) await world.clock.run(5_000);
  stage.own.agentConnected = true;
  await world.clock.run(10 * minute);
  expect(stage.deregistered).toEqual([]);
  expect(stage.own.status).toBe('ACTIVE');
  await agent.stop();
});

it('a disk that is freed while a protected task ends costs no registrar', async () => {
  const { stage, run, agent, untilDeadline } = await waiting(60);
  const { cluster } = stage.world;
  Object.assign(cluster.tasks[0]!, { group: 'service:web', protected: true });
  await untilDeadline(-3 * minute);
  expect(stage.departure()).toMatchObject({ phase: 'tasks' });
  stage.fillDisk(20);
  cluster.tasks = [];
  await run(10 * minute);
  expect(stage.deregistered).toEqual([]);
  expect(stage.departure().irrevocable?.deregisteredAt).toBeUndefined();
  expect(stage.own.status).toBe('ACTIVE');
  await agent.stop();
});
