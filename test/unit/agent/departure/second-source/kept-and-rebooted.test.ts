/** A healthy node that a person keeps, or that has just rebooted, and one source that is wrong. */

import { expect, it } from 'vitest';
import { Refused } from '../../../../../core/errors.ts';
import type { ContainerInstance, Host } from '../../../../../core/host.ts';
import { paths } from '../../../../../core/state/state.ts';
import { configOf, setStage, type Stage } from '../../stage.ts';
import { busy, deadly, hour, inService, minute } from './in-service.ts';

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

/** A kept node of a group whose launch template hides its tags. `retire`: in two weeks. */
async function kept(isHidden: () => boolean) {
  const stage = setStage(configOf());
  const { world, host } = stage;
  const { readOwnTags } = host.cloud;
  world.metadata.tags = undefined;
  world.instance.tags['ecs-node:keep'] = 'yes';
  const readTags = async (signal: AbortSignal) => {
    const { 'ecs-node:keep': tag, ...others } = await readOwnTags(signal);
    return tag === undefined || isHidden() ? others : { ...others, 'ecs-node:keep': tag };
  };
  const on = (next: Host): Host => ({ ...next, cloud: { ...next.cloud, readOwnTags: readTags } });
  const agent = stage.agent(on(host));
  await world.clock.run(minute);
  const notBefore = host.clock.now() + 14 * day;
  const retire = () => {
    world.instance.events = [{ id: 'e-1', code: 'instance-retirement', startsInMs: 14 * day }];
    world.metadata.maintenance = [
      { id: 'e-1', code: 'instance-retirement', state: 'active', notBefore, description: '' },
    ];
  };
  return { stage, world, agent, on, retire };
}

// EC2's list had the tag for 45 minutes, and lacked it for one: the node drained, and ended itself.
it.each([
  ['for a minute', minute, false],
  ['never (control)', 0, false],
  ['for a minute after a restart', minute, true],
])(
  'a kept node whose metadata hide its tags is not ended when EC2 leaves the tag out %s',
  async (_how, ms, restarts) => {
    let until = 0;
    const { stage, world, agent, on, retire } = await kept(() => world.clock.uptime() < until);
    retire();
    await world.clock.run(45 * minute);
    expect(stage.deeds()).toEqual([]);
    if (restarts) await agent.stop();
    const next = restarts ? stage.agent(on(world.restart())) : agent;
    // Each look falls into another part of such a minute.
    for (let n = 0; n < 10; n++) {
      await world.clock.run(minute / 2 + n * 5_000);
      until = world.clock.uptime() + ms;
      await world.clock.run(ms + 4 * minute);
    }
    expect(stage.deeds()).toEqual([]);
    expect(world.instance.state).toBe('running');
    await next.stop();
  },
);

// A person had stopped it to look at its data.
it('the ECS agent of a kept node is not restarted when EC2 leaves the tag out for a minute', async () => {
  let until = 0;
  const { stage, world, agent } = await kept(() => world.clock.uptime() < until);
  [stage.own.agentConnected, world.localAgent] = [false, undefined];
  await world.clock.run(40 * minute);
  for (let n = 0; n < 40; n++) {
    until = world.clock.uptime() + minute;
    await world.clock.run(2 * minute);
  }
  expect(stage.deeds()).toEqual([]);
  await agent.stop();
});

// The node was leaving when the person tagged it, so only its departure saw the tag.
it('a node that is kept while it leaves is not ended when EC2 leaves the tag out for a minute', async () => {
  let until = 0;
  const { stage, world, agent, retire } = await kept(() => world.clock.uptime() < until);
  busy(stage);
  until = Infinity;
  retire();
  while (stage.departure()?.confirmedAt === undefined) await world.clock.run(5_000);
  until = 0;
  while (stage.own.status !== 'ACTIVE') await world.clock.run(5_000);
  await world.clock.run(minute / 2);
  until = world.clock.uptime() + minute;
  world.calls.list.length = 0;
  await world.clock.run(10 * minute);
  expect(stage.deeds()).toEqual([]);
  await agent.stop();
});

it.each([
  ['a node that is no longer kept leaves when its tag is missing for 75 s', true],
  ['a node that was never kept leaves at once', false],
])('%s', async (_what, isKept) => {
  const { stage, world, agent, retire } = await kept(() => false);
  if (!isKept) delete world.instance.tags['ecs-node:keep'];
  else {
    retire();
    await world.clock.run(30 * minute);
    delete world.instance.tags['ecs-node:keep'];
  }
  retire();
  const began = world.clock.uptime();
  while (stage.own.status === 'ACTIVE') await world.clock.run(1_000);
  const ms = world.clock.uptime() - began;
  expect(ms).toBeGreaterThan(isKept ? 75_000 : 0);
  expect(ms).toBeLessThan(isKept ? 5 * minute : minute);
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

/** A busy node reboots, and a check of its own fails for a quarter of an hour. */
async function rebootWithFailingCheck() {
  const join = { checks: [{ url }], timeoutSeconds: 600 };
  const { stage, world, run, agent, harm } = await inService({ join }, ({ world: { machine } }) =>
    machine.probes.set(url, 200),
  );
  await agent.stop();
  const host = world.reboot();
  world.machine.probes.set(url, 503);
  busy(stage);
  world.calls.list.length = 0;
  return {
    stage,
    host,
    async harm(on: Host) {
      const next = stage.agent(on);
      await run(15 * minute);
      world.machine.probes.set(url, 200);
      await run(5 * minute);
      await next.stop();
      return harm().filter((deed) => deed !== 'completeHook');
    },
  };
}

const wrongAnswers = {
  'not connected': (record: ContainerInstance) => ({ ...record, agentConnected: false }),
  'no record': () => undefined,
  'no cluster': () => {
    throw new Refused('Cluster not found.', { code: 'ClusterNotFoundException' });
  },
};

// The node left its load balancers and ran its leaving hooks, and both stayed so when the departure
// was undone.
it.each([
  ['not connected', 0],
  ['not connected', 3],
  ['no record', 1],
  ['no record', 6],
  ['no cluster', 1],
] as const)(
  'a new node whose join check fails keeps its load balancers when ECS says %s %d times',
  async (what, times) => {
    const { stage, host, harm } = await rebootWithFailingCheck();
    stage.world.machine.files.delete(paths.joined);
    const { readContainerInstance } = host.cloud;
    let left: number = times;
    host.cloud.readContainerInstance = async (...args) => {
      const truth = await readContainerInstance(...args);
      if (left === 0 || stage.status().join.state !== 'failed' || truth === undefined) return truth;
      left--;
      return wrongAnswers[what](truth);
    };
    expect(await harm(host)).toEqual([]);
    expect(left).toBe(0);
  },
);

// As above, after a reboot: an older answer of Auto Scaling counted at once, and ECS was not asked.
it.each([0, 2_000, 40_000])(
  'a rebooted node whose join check fails keeps its load balancers when Auto Scaling launches it for %d ms',
  async (ms) => {
    const { stage, host, harm } = await rebootWithFailingCheck();
    const { clock } = stage.world;
    const { readMembership } = host.cloud;
    let until: number | undefined;
    host.cloud.readMembership = async (...args) => {
      const truth = await readMembership(...args);
      if (truth === undefined || stage.status().join.state !== 'failed') return truth;
      const isOld = clock.uptime() < (until ??= clock.uptime() + ms);
      return isOld ? { ...truth, lifecycleState: 'Pending:Wait' } : truth;
    };
    expect(await harm(host)).toEqual([]);
    expect(until).toBeDefined();
  },
);

// A tag on an instance ended a node at its next reboot: ECS has no record in that cluster.
// It asked AWS some 700 times an hour, and a whole fleet may have the same configuration.
it('a rebooted node whose configuration names another cluster asks less and less often', async () => {
  const { stage, world, run, agent } = await inService({}, busy);
  await agent.stop();
  const host = world.reboot();
  const { readContainerInstance } = host.cloud;
  host.cloud.readContainerInstance = async (name, ...rest) =>
    name === 'other' ? undefined : readContainerInstance(name, ...rest);
  const next = stage.agentWith(configOf({ cluster: 'other' }), host);
  await run(2 * hour);
  world.calls.list.length = 0;
  await run(hour);
  expect(world.calls.of('readMembership').length + world.calls.of('readHooks').length).toBeLessThan(50);
  await next.stop();
});

// The ECS agent ends over another cluster than that of its checkpoint, and its port is silent then.
it.each([
  ['demo', 'names its record'],
  ['other', 'names its record'],
  ['other', 'is silent'],
])(
  'a rebooted node whose configuration names the cluster %s, and whose port %s, is not ended',
  async (cluster, port) => {
    const { stage, world, run, agent } = await inService({}, busy);
    await agent.stop();
    const host = world.reboot();
    if (port === 'is silent') world.localAgent = undefined;
    const { readContainerInstance } = host.cloud;
    host.cloud.readContainerInstance = async (name, ...rest) =>
      name === 'other' ? undefined : readContainerInstance(name, ...rest);
    world.calls.list.length = 0;
    const next = stage.agentWith(configOf({ cluster, leave: { drainSeconds: 10 } }), host);
    await run(hour);
    expect(world.instance.state).toBe('running');
    expect(stage.deeds().filter((deed) => deadly.includes(deed) || deed === 'stopTask')).toEqual([]);
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
it.each([
  ['does not connect', true],
  ['does not come back', false],
])('a node in service whose ECS agent %s after a reboot is replaced', async (_what, isNamed) => {
  const { stage, world, run, agent } = await inService();
  await agent.stop();
  const host = world.reboot();
  if (!isNamed) world.localAgent = undefined;
  stage.own.agentConnected = false;
  const next = stage.agent(host);
  await run(2 * hour);
  expect(world.machine.restarted).toContain('ecs.service');
  expect(stage.departure()?.cause).toBe('ecs-agent');
  expect(world.instance.state).not.toBe('running');
  await next.stop();
});
