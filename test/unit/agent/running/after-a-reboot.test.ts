/** Old times and old words of the boot before count for nothing. */

import { expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { someBalancer } from '../../../fakes/cloud/balancers.ts';
import { targetGroup } from '../departure/leave/orders.ts';
import { configOf, type Stage } from '../stage.ts';
import { hour, inService, minute, spotAt } from './in-service.ts';

/** The machine boots again: `/run` is empty, and the uptime begins anew. */
function reboot({ world }: Stage) {
  const host = world.reboot();
  const before = host.clock.uptime();
  return { ...host, clock: { ...host.clock, uptime: () => host.clock.uptime() - before } };
}

// A false notice counted alone as soon as EC2 was silent for the first seconds of the boot.
it('a notice that has outlived its end over a reboot stops no task while EC2 is silent', async () => {
  const config = configOf({ leave: { targetGroups: [targetGroup], drainSeconds: 900 } });
  const { stage, agent, run } = await inService(config, ({ world }) =>
    world.balancers.targetGroups.set(targetGroup, someBalancer(1_000)),
  );
  const { world } = stage;
  world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  world.calls.fails('readSpotStatus', new Unavailable('the answer is lost'));
  world.metadata.spotNotice = spotAt(stage.host.clock.now() + 2 * minute);
  await run(20_000);
  expect(stage.departure()).toMatchObject({ cause: 'spot', phase: 'announce' });
  await agent.stop();
  await run(4 * minute);
  world.calls.list.length = 0;
  const next = stage.agent(reboot(stage));
  await run(20_000);
  world.calls.heals();
  world.instance.spotStatus = 'fulfilled';
  await run(2 * minute);
  expect(stage.deeds()).not.toContain('deregisterTarget');
  expect(stage.deeds()).not.toContain('stopTask');
  await next.stop();
});

// Seed 520007135: the next boot of a pool's machine drained it for a notice of weeks ago.
it.each([
  ['drained', true],
  ['that could not drain', false],
])('a notice that has outlived its end over a reboot keeps no node %s from ACTIVE', async (_, isDrained) => {
  const { stage, agent, run } = await inService();
  const { world, own } = stage;
  world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  const silent = new Unavailable('HTTP 503');
  for (const verb of ['readSpotStatus', ...(isDrained ? [] : ['drain'])]) world.calls.fails(verb, silent);
  world.metadata.spotNotice = spotAt(stage.host.clock.now() + 2 * minute);
  await run(20_000);
  expect(stage.departure()).toMatchObject({ cause: 'spot', phase: 'announce' });
  expect(own.status).toBe(isDrained ? 'DRAINING' : 'ACTIVE');
  await agent.stop();
  await run(15 * minute);
  world.calls.heals();
  world.calls.list.length = 0;
  for (const verb of ['readSpotStatus', 'readSpotNotice']) world.calls.fails(verb, silent);
  const next = stage.agent(reboot(stage));
  await run(minute);
  expect(stage.deeds()).not.toContain('drain');
  expect(own.status).toBe('ACTIVE');
  // It counts when it is listed all the same.
  world.calls.heals();
  world.metadata.spotNotice = spotAt(stage.host.clock.now() + 2 * minute);
  await run(20_000);
  expect(own.status).toBe('DRAINING');
  await next.stop();
});

// Seed 550001221: a machine of a pool had one word of a scale-in, and its next boot drained it.
it('a word of a scale-in that drained nothing before a reboot drains nothing after it', async () => {
  const { stage, agent, run } = await inService();
  const { world, own } = stage;
  world.calls.fails('drain', new Unavailable('HTTP 503'));
  world.metadata.targetState = 'Terminated';
  await run(20_000);
  expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'announce' });
  await agent.stop();
  world.calls.heals();
  world.calls.list.length = 0;
  world.calls.fails('readTargetState', new Unavailable('HTTP 503'));
  const next = stage.agent(reboot(stage));
  await run(10 * minute);
  expect(stage.deeds()).not.toContain('drain');
  expect(own.status).toBe('ACTIVE');
  // It counts when it is announced all the same.
  world.calls.heals();
  stage.group.begin('terminate');
  await run(10_000);
  expect(own.status).toBe('DRAINING');
  await next.stop();
});

// ECS had placed tasks on the new record, and nobody confirmed the reason in this boot.
it('a node whose end was refused stops no task in a later boot while its second source is silent', async () => {
  const { stage, agent, run } = await inService(configOf({ leave: { drainSeconds: 900 } }));
  const { world, own } = stage;
  own.runtimeHealth = 'IMPAIRED';
  world.docker.state = 'hung';
  const methods = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'];
  for (const verb of methods) world.calls.fails(verb, new Refused('not authorized', { code: 'AccessDenied' }));
  for (let minutes = 0; minutes < 120 && stage.departure()?.irrevocable?.askedToEndAt === undefined; minutes++)
    await run(minute);
  expect(stage.departure()).toMatchObject({ cause: 'docker', irrevocable: { askedToEndAt: expect.anything() } });
  await agent.stop();
  await run(hour);
  world.calls.heals();
  world.docker.state = 'well';
  own.runtimeHealth = 'OK';
  own.status = 'ACTIVE';
  world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  world.calls.fails('readTargetState', new Unavailable('HTTP 503'));
  world.calls.list.length = 0;
  const next = stage.agent(reboot(stage));
  await run(2 * minute);
  expect(stage.deeds()).not.toContain('stopTask');
  await next.stop();
});

// No time was left, and every task was stopped at once.
it.each(['runs 3 hours ahead', 'was off for 3 hours'])(
  'a machine that %s after a reboot leaves its tasks their time',
  async (how) => {
    const { stage, agent, run } = await inService(configOf({ leave: { drainSeconds: 7200 } }));
    const { world, own } = stage;
    world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.fillDisk(97);
    for (let minutes = 0; minutes < 90 && stage.departure()?.phase !== 'tasks'; minutes++) await run(minute);
    expect(stage.departure().phase).toBe('tasks');
    await agent.stop();
    if (how === 'runs 3 hours ahead') world.clock.jump(3 * hour);
    else await run(3 * hour);
    const next = stage.agent(reboot(stage));
    await run(20 * minute);
    expect(stage.deeds()).not.toContain('stopTask');
    await next.stop();
  },
);

// No watcher followed it, and no heartbeat was sent.
it('a confirmed scale-in keeps its hook alive over a reboot while the metadata service is silent', async () => {
  const { stage, agent, run } = await inService(configOf({ leave: { drainSeconds: 1800 } }));
  const { world, own, group } = stage;
  world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: 20 * minute });
  world.metadata.targetState = 'Terminated';
  group.begin('terminate');
  await run(2 * minute);
  expect(stage.departure()).toMatchObject({ cause: 'scale-in', phase: 'tasks' });
  await agent.stop();
  world.calls.fails('readTargetState', new Unavailable('HTTP 503'));
  const next = stage.agent(reboot(stage));
  await run(40 * minute);
  expect(group.hooks[1]!.ended).toBe('CONTINUE');
  await next.stop();
});

// Seed 600008554: EC2 had rebooted it, so it no longer listed the event. The node was left to its
// scale-in, and its hook timed out.
it('a node that requested its end for a reboot completes its hook after that reboot', async () => {
  const { stage, agent, run } = await inService();
  const { world, group } = stage;
  const notBefore = stage.host.clock.now() + 10 * minute;
  const event = {
    id: 'instance-event-1',
    code: 'instance-reboot',
    state: 'active' as const,
    notBefore,
    description: '',
  };
  world.calls.fails('readMembership', new Refused('not authorized', { code: 'AccessDenied' }));
  world.calls.fails('completeHook', new Unavailable('HTTP 503'));
  world.instance.events = [{ id: event.id, code: event.code }];
  world.metadata.maintenance = [event];
  for (let n = 0; n < 600 && group.lifecycleState !== 'Terminating:Wait'; n++) await run(1_000);
  expect(stage.departure()).toMatchObject({ cause: 'maintenance', irrevocable: { askedToEndAt: expect.anything() } });
  world.metadata.targetState = 'Terminated';
  await run(minute);
  await agent.stop();
  world.calls.heals('completeHook');
  world.instance.events = [];
  world.metadata.maintenance = [];
  const next = stage.agent(reboot(stage));
  await run(5 * minute);
  expect(group.hooks.at(-1)!.ended).toBe('CONTINUE');
  await next.stop();
});

// The life cycle of an on-demand node was unreadable, so EC2 had no spot request to deny it with.
it.each([true, false])(
  'an on-demand node is ACTIVE after a false spot notice and a reboot (departure done: %s)',
  async (isDone) => {
    const { stage, agent, run } = await inService(configOf({ leave: { drainSeconds: 900 } }));
    const { world, own } = stage;
    world.calls.fails('readSpotStatus', new Unavailable('the answer is lost'));
    if (!isDone) world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: 30_000, stopTimeoutMs: 30_000 });
    world.metadata.spotNotice = spotAt(stage.host.clock.now() + 2 * minute);
    for (let n = 0; n < 60 && stage.departure()?.confirmedAt === undefined; n++) await run(2_000);
    expect(stage.departure().confirmedBy).toContain('still listed');
    if (isDone) await run(minute);
    expect(stage.departure().phase === 'done').toBe(isDone);
    await agent.stop();
    world.metadata.spotNotice = undefined;
    const on = reboot(stage);
    on.cloud.readSpotStatus = async () => undefined;
    const next = stage.agent({ ...on, identity: { ...on.identity, purchase: 'on-demand' } });
    await run(hour);
    expect(own.status).toBe('ACTIVE');
    await next.stop();
  },
);

// Two hours later it went on as if its time were up, and stopped the tasks that had come back.
it('a machine that comes back from its hibernation stops no task for the notice of that time', async () => {
  const { stage, agent, run } = await inService(configOf({ leave: { drainSeconds: 900 } }));
  const { world, own } = stage;
  world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  world.instance.spotStatus = 'marked-for-stop';
  world.metadata.spotNotice = spotAt(stage.host.clock.now() + 2 * minute, 'hibernate');
  for (let n = 0; n < 60 && stage.departure()?.phase !== 'tasks'; n++) await run(1_000);
  expect(stage.departure()).toMatchObject({ cause: 'spot', phase: 'tasks', returns: true });
  world.clock.standStill(2 * hour);
  world.metadata.spotNotice = undefined;
  world.instance.spotStatus = 'fulfilled';
  await run(10 * minute);
  expect(stage.deeds()).not.toContain('stopTask');
  expect(own.status).toBe('ACTIVE');
  await agent.stop();
});
