/** A healthy node that a person keeps, or that has just rebooted, and one source that is wrong. */

import { expect, it } from 'vitest';
import type { Host } from '../../../../../core/host.ts';
import { bootedFirst, configOf, setStage, type Stage } from '../../stage.ts';
import { busy, hour, inService, minute } from './in-service.ts';

const day = 24 * hour;

/** The metadata service leaves the tags out for `ms` once `isTime` is true. */
function hidingTags(host: Host, isTime: () => boolean, ms: number): Host {
  const { clock, metadata } = host;
  let until: number | undefined;
  return {
    ...host,
    metadata: {
      ...metadata,
      async readTags(...args) {
        if (until === undefined && isTime()) until = clock.uptime() + ms;
        return clock.uptime() < (until ?? 0) ? {} : metadata.readTags(...args);
      },
    },
  };
}

// EC2 showed the tag all the time. The node drained, and ended itself two weeks before the event.
it.each([0, minute])('a kept node is not ended when the metadata leave its tag out for %d ms', async (ms) => {
  const stage = setStage(configOf());
  const { world, host } = stage;
  world.metadata.tags = { 'ecs-node:keep': 'yes' };
  world.instance.tags['ecs-node:keep'] = 'yes';
  let isTime = false;
  const agent = stage.agent(hidingTags(host, () => isTime, ms));
  await world.clock.run(minute);
  world.instance.events = [{ id: 'e-1', code: 'instance-retirement', startsInMs: 14 * day }];
  const notBefore = host.clock.now() + 14 * day;
  world.metadata.maintenance = [
    { id: 'e-1', code: 'instance-retirement', state: 'active', notBefore, description: '' },
  ];
  await world.clock.run(45 * minute);
  expect(stage.deeds()).toEqual([]);
  isTime = true;
  await world.clock.run(45 * minute);
  expect(world.instance.state).toBe('running');
  expect(stage.deeds()).toEqual([]);
  await agent.stop();
});

/** The machine boots again, and its bootstrap has taken `bootMs` when this program starts. */
function reboot({ world }: Stage, bootMs: number): Host {
  const host = world.reboot();
  const before = host.clock.uptime() - bootMs;
  return { ...host, clock: { ...host.clock, uptime: () => host.clock.uptime() - before } };
}

// The ECS agent starts after the bootstrap. The node asked ECS in its first second, and ended.
it.each([minute, 6 * minute, 2 * hour])(
  'a reboot that mends the ECS agent keeps the node although its bootstrap takes %d ms',
  async (bootMs) => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 7200 } }, busy);
    const local = world.localAgent;
    stage.own.agentConnected = false;
    world.localAgent = undefined;
    const [task] = world.cluster.tasks;
    world.docker.containers.push({ name: 'b', imageId: 'b:1', state: 'running', taskArn: task!.arn });
    await run(40 * minute);
    expect(stage.departure()).toMatchObject({ cause: 'ecs-agent', phase: 'tasks' });
    await agent.stop();
    world.docker.containers.length = 0;
    task!.lastStatus = 'STOPPED';
    const next = stage.agent(reboot(stage, bootMs));
    world.clock.schedule(40_000, () => {
      stage.own.agentConnected = true;
      world.localAgent = local;
    });
    await run(30 * minute);
    expect(world.instance.state).toBe('running');
    expect(stage.own.status).toBe('ACTIVE');
    await next.stop();
  },
);

it('a reboot that does not mend the ECS agent ends the node', async () => {
  const { stage, world, run, agent } = await inService();
  stage.own.agentConnected = false;
  world.localAgent = undefined;
  busy(stage);
  for (let n = 0; n < 60 && stage.departure()?.cause !== 'ecs-agent'; n++) await run(minute);
  await agent.stop();
  world.cluster.tasks.length = 0;
  const next = stage.agent(reboot(stage, 6 * minute));
  await run(30 * minute);
  expect(world.instance.state).not.toBe('running');
  await next.stop();
});

const url = 'http://127.0.0.1:8080/healthz';

// ECS agents connect anew several times an hour. The node left its load balancers and ran its
// leaving hooks, and both stayed so when the departure was undone.
it.each([0, 1, 3])(
  'a new node whose join check fails keeps its load balancers when ECS is wrong %d times',
  async (times) => {
    const join = { checks: [{ url }], timeoutSeconds: 600 };
    const { stage, world, run, agent, harm } = await inService({ join }, ({ world: { machine } }) =>
      machine.probes.set(url, 200),
    );
    await agent.stop();
    const host = world.reboot();
    bootedFirst(stage);
    world.machine.probes.set(url, 503);
    busy(stage);
    world.calls.list.length = 0;
    const { readContainerInstance } = host.cloud;
    let left = times;
    host.cloud.readContainerInstance = async (...args) => {
      const truth = await readContainerInstance(...args);
      if (left === 0 || stage.status().join.state !== 'failed' || truth === undefined) return truth;
      left--;
      return { ...truth, agentConnected: false };
    };
    const next = stage.agent(host);
    await run(15 * minute);
    world.machine.probes.set(url, 200);
    await run(5 * minute);
    expect(left).toBe(0);
    expect(harm().filter((deed) => deed !== 'completeHook')).toEqual([]);
    await next.stop();
  },
);

// ECS alone was both sources of a failed join: the node, which had served for hours, ended.
it.each([0, 25 * minute])(
  'a node in service that reboots is not ended when ECS alone is wrong for %d ms',
  async (ms) => {
    const { stage, world, run, agent } = await inService();
    await agent.stop();
    const host = world.reboot();
    const until = world.clock.uptime() + ms;
    const { readContainerInstance } = host.cloud;
    host.cloud.readContainerInstance = async (...args) => {
      const truth = await readContainerInstance(...args);
      return truth !== undefined && world.clock.uptime() < until ? { ...truth, agentConnected: false } : truth;
    };
    const next = stage.agent(host);
    await run(hour);
    expect(world.instance.state).toBe('running');
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.deeds()).not.toContain('drain');
    await next.stop();
  },
);

// Otherwise a dead node would stay in its group for ever.
it('a node in service whose ECS agent does not come back after a reboot restarts it, and leaves', async () => {
  const { stage, world, run, agent } = await inService();
  await agent.stop();
  const host = world.reboot();
  world.localAgent = undefined;
  stage.own.agentConnected = false;
  const next = stage.agent(host);
  await run(2 * hour);
  expect(world.machine.restarted).toContain('ecs.service');
  expect(stage.departure()?.cause).toBe('ecs-agent');
  expect(world.instance.state).not.toBe('running');
  await next.stop();
});
