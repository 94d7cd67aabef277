import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { paths, renderState } from '../../../../core/state/state.ts';
import type { Host } from '../../../../core/host.ts';
import type { Call } from '../../../fakes/calls.ts';
import type { FakeContainerInstance } from '../../../fakes/cloud/cluster.ts';
import { groupTag } from '../../../../upkeep/group-tag.ts';
import { someBalancer } from '../../../fakes/cloud/balancers.ts';
import { agentDb, outside, putOutside } from './outside-provider.ts';
import { configOf, setStage, type Stage } from '../stage.ts';

const minute = 60_000;
const targetGroup = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef';

const records = ({ world }: Stage): FakeContainerInstance[] =>
  world.cluster.instances.filter(({ status }) => status !== 'INACTIVE');

const deregistrations = ({ world }: Stage) => world.calls.of('deregisterContainerInstance').length;

async function live(stage: Stage, ms = 10 * minute, host: Host = stage.host): Promise<void> {
  const agent = stage.agent(host);
  await stage.world.clock.run(ms);
  await agent.stop();
}

describe('a node outside its capacity provider', () => {
  it('registers anew while it has no task, once, and is in it', async () => {
    const stage = outside();
    await live(stage);
    expect(records(stage)).toMatchObject([{ capacityProvider: 'nodes', status: 'ACTIVE', agentConnected: true }]);
    expect(records(stage)[0]!.arn).not.toBe(stage.own.arn);
    expect(stage.status().registration).toMatchObject({ provider: 'nodes', detail: 'now in nodes' });
    expect(stage.deeds().filter((verb) => verb !== 'publish')).toEqual(['drain', 'restartUnit']);
    await live(stage);
    expect(deregistrations(stage)).toBe(1);
  });

  // A deregistered record loses the attributes and tags that a person put there.
  it.each([
    ['for its first minute', minute, 0],
    ['for ever (control)', Infinity, 1],
  ])('is outside only where ECS leaves its provider out for long: %s', async (_what, ms, expected) => {
    const stage = outside(({ own }) => void (own.capacityProvider = 'nodes'));
    const { calls, clock } = stage.world;
    const readContainerInstance: Host['cloud']['readContainerInstance'] = async (...args) => {
      const found = await stage.host.cloud.readContainerInstance(...args);
      if (found?.arn !== stage.own.arn || clock.uptime() >= ms) return found;
      const { capacityProvider: _, ...rest } = found;
      return rest;
    };
    await live(stage, 10 * minute, { ...stage.host, cloud: { ...stage.host.cloud, readContainerInstance } });
    expect(deregistrations(stage)).toBe(expected);
    expect(stage.deeds().filter((verb) => verb === 'drain')).toHaveLength(expected);
    // One to join and two to look: a thousand new nodes may look so.
    const [verbs] = calls.verbs('cloud').join(' ').split(' drain ');
    expect(verbs!.match(/readContainerInstance/g)).toHaveLength(3);
  });

  // The name of another group, whose provider does not hold this node, cost the node its record.
  it.each([
    ['another group once', 'api', 1, true, 0],
    ['another group once, and Auto Scaling refuses', 'api', 1, false, 0],
    ['another group for ever', 'api', Infinity, true, 0],
    ['its group, and Auto Scaling refuses (control)', 'web', Infinity, false, 1],
    ['its group (control)', 'web', 1, true, 1],
  ])("is outside only its own group's provider: its tag names %s", async (_what, name, times, isAllowed, expected) => {
    const stage = outside(({ world }) => void world.cluster.capacityProviders.clear());
    const { world } = stage;
    let left = 0;
    const withTag = (host: Host): Host => ({
      ...host,
      metadata: {
        ...host.metadata,
        async readTag(key, ...rest) {
          const tag = await host.metadata.readTag(key, ...rest);
          return key === groupTag && left-- > 0 ? name : tag;
        },
      },
    });
    await live(stage, 5 * minute, withTag(stage.host));
    world.cluster.capacityProviders.set('nodes', name);
    if (!isAllowed) denies(world, 'readMembership');
    // An update starts the agent again, in a boot in which the node has joined.
    left = times;
    await live(stage, 30 * minute, withTag(world.restart()));
    expect(deregistrations(stage)).toBe(expected);
    expect(stage.deeds().filter((verb) => verb === 'drain')).toHaveLength(expected);
  });

  it('registers anew within two minutes of the look that finds it outside, also hours after it joined', async () => {
    const stage = outside(({ world }) => void world.cluster.capacityProviders.clear());
    const { calls, clock, cluster } = stage.world;
    clock.schedule(120 * minute, () => void cluster.capacityProviders.set('nodes', 'web'));
    await live(stage, 240 * minute);
    const foundAt = calls.of('readCapacityProvider').find(({ at }) => at > 120 * minute)!.at;
    const [deregistered] = calls.of('deregisterContainerInstance');
    expect(deregistered!.at - foundAt).toBeLessThan(2 * minute);
    expect(deregistered!.at - foundAt).toBeGreaterThan(minute);
  });

  it('tells the team once that it has registered anew, after it has', async () => {
    const stage = outside();
    const { world } = stage;
    world.bus = 'default';
    await live(stage, 10 * minute, world.restart());
    await live(stage, 10 * minute, world.restart());
    const told = world.events.filter(({ type }) => type === 'registered-anew');
    expect(told).toMatchObject([{ detail: { capacityProvider: 'nodes', reason: 'now in nodes' } }]);
    const verbs = world.calls.verbs('cloud');
    expect(verbs.lastIndexOf('putEvent')).toBeGreaterThan(verbs.indexOf('deregisterContainerInstance'));
  });

  it('drains before it looks at its tasks, stops the ECS agent before it deregisters, and forgets before it starts', async () => {
    const stage = outside();
    await live(stage);
    const order = stage.world.calls.list
      .filter(({ verb, args }) => verb !== 'remove' || args[0] === agentDb)
      .map(({ verb }) => verb)
      .filter((verb) => /^(drain|readTasks|stopUnit|deregisterContainerInstance|remove|restartUnit)$/.test(verb));
    expect(order.slice(order.indexOf('drain'))).toEqual([
      'drain',
      'readTasks',
      'stopUnit',
      'stopUnit',
      'deregisterContainerInstance',
      'remove',
      'restartUnit',
    ]);
  });

  it('waits until the ECS agent has stopped before it deregisters the record', async () => {
    const stage = outside();
    const { machine, clock, calls } = stage.world;
    const { stopUnit } = stage.host.machine;
    stage.host.machine.stopUnit = async (...args) => {
      if (machine.units.get('ecs.service') !== 'inactive') machine.units.set('ecs.service', 'deactivating');
      clock.schedule(8_000, () => void stopUnit(...args));
    };
    let then: string | undefined;
    calls.onCall = ({ verb }) => {
      if (verb === 'deregisterContainerInstance') then ??= machine.units.get('ecs.service');
    };
    await live(stage);
    expect(then).toBe('inactive');
  });

  // An ACTIVE call from before arrived late. The node deregistered a record on which ECS could
  // place tasks.
  it.each(['without', 'with'])('drains once more where ECS has it ACTIVE again, %s a task', async (how) => {
    const stage = outside();
    const { calls, cluster } = stage.world;
    let isLate = false;
    calls.onCall = ({ verb }) => {
      if (verb !== 'stopUnit' || isLate) return;
      isLate = true;
      stage.own.status = 'ACTIVE';
      if (how === 'with') cluster.addTask(stage.own.arn);
    };
    await live(stage);
    const verbs = calls.verbs('cloud').filter((verb) => /^(drain|readTasks|deregisterContainerInstance)$/.test(verb));
    expect(verbs.slice(verbs.indexOf('drain'))).toEqual(
      how === 'with'
        ? ['drain', 'readTasks', 'drain', 'readTasks']
        : ['drain', 'readTasks', 'drain', 'readTasks', 'deregisterContainerInstance'],
    );
    expect(records(stage)).toMatchObject([{ status: 'ACTIVE', agentConnected: true }]);
  });

  it('waits for a task that ECS does not count and that the ECS agent does not name', async () => {
    const stage = outside((on) => void on.world.cluster.addTask(on.own.arn, { unnamed: true }));
    const readContainerInstance: Host['cloud']['readContainerInstance'] = async (...args) => {
      const read = await stage.host.cloud.readContainerInstance(...args);
      return read && { ...read, runningTasks: 0, pendingTasks: 0 };
    };
    await live(stage, 20 * minute, { ...stage.host, cloud: { ...stage.host.cloud, readContainerInstance } });
    expect(stage.deeds()).not.toContain('drain');
    expect(stage.status().registration?.detail).toContain('has 1 tasks');
  });

  it('waits for a task that ECS has placed and that the ECS agent has not started', async () => {
    const stage = outside((on) => {
      on.world.cluster.addTask(on.own.arn, { lastStatus: 'PENDING' });
      on.host.ecsAgent.readTasks = async () => [];
    });
    await live(stage, 20 * minute);
    expect(stage.deeds()).not.toContain('drain');
    expect(stage.status().registration?.detail).toContain('has 1 tasks');
  });

  it('waits until its last task has stopped, and says so', async () => {
    const stage = outside((on) => void on.world.cluster.addTask(on.own.arn));
    await live(stage, 20 * minute);
    expect(stage.deeds()).not.toContain('drain');
    expect(stage.status().registration?.detail).toContain('has 1 tasks');
    // A thousand nodes may wait so, and the provider stays the same.
    expect(stage.world.calls.of('readCapacityProvider')).toHaveLength(1);
    stage.world.cluster.tasks[0]!.lastStatus = 'STOPPED';
    await live(stage, 20 * minute);
    expect(records(stage)).toMatchObject([{ capacityProvider: 'nodes' }]);
  });

  it('finds a provider that is made an hour after it joined', async () => {
    const stage = outside(({ world }) => void world.cluster.capacityProviders.clear());
    await live(stage, 60 * minute);
    expect(stage.deeds()).not.toContain('drain');
    stage.world.cluster.capacityProviders.set('nodes', 'web');
    await live(stage, 60 * minute);
    expect(records(stage)).toMatchObject([{ capacityProvider: 'nodes' }]);
  });

  const held: [string, (stage: Stage) => void][] = [
    ['the provider is of another group', ({ world }) => world.cluster.capacityProviders.set('nodes', 'other')],
    ['ECS has it inside', ({ own }) => void (own.capacityProvider = 'nodes')],
    ['it is in Standby', ({ world }) => void (world.metadata.targetState = 'Standby')],
    ['a person keeps it', ({ world }) => void (world.metadata.tags = { [groupTag]: 'web', 'ecs-node:keep': '' })],
    ['a person drained it', ({ own }) => void (own.status = 'DRAINING')],
    [
      'the ECS agent names another record',
      ({ world, own }) => void (world.localAgent!.containerInstanceArn = `${own.arn}0`),
    ],
    ['the ECS agent keeps no checkpoint', ({ world }) => void world.machine.files.delete(agentDb)],
    ['the role may not read the provider', ({ world }) => denies(world, 'readCapacityProvider')],
    ['the role may not drain', ({ world }) => denies(world, 'drain')],
  ];
  it.each(held)('does nothing where %s', async (_, prepare) => {
    const stage = outside(prepare);
    const { status } = stage.own;
    await live(stage, 30 * minute);
    expect(deregistrations(stage)).toBe(0);
    expect(stage.own).toMatchObject({ status, agentConnected: true });
    expect(stage.status().join.state).toBe('joined');
  });

  const refused: [string, (stage: Stage) => void][] = [
    ['ECS refuses to deregister it', ({ world }) => denies(world, 'deregisterContainerInstance')],
    ['ECS places a task in between', ({ world, own }) => placeTask(world, own.arn)],
    ['systemd does not stop the ECS agent', ({ world }) => world.calls.fails('stopUnit', new Unavailable('bus'))],
    ['the checkpoint cannot be removed', ({ world }) => readOnly(world)],
  ];
  it.each(refused)('is as before, ACTIVE and connected, where %s', async (_, prepare) => {
    const stage = outside(prepare);
    await live(stage, 60 * minute);
    expect(records(stage)).toMatchObject([{ arn: stage.own.arn, status: 'ACTIVE', agentConnected: true }]);
    expect(stage.status().registration?.detail).toContain('given up');
    expect(stage.status().join.state).toBe('joined');
    expect(stage.world.instance.state).toBe('running');
  });
});

function denies(world: Stage['world'], verb: string): void {
  world.calls.fails(verb, new Refused(`not allowed: ${verb}`, { code: 'AccessDeniedException' }));
}

/** ECS places it after the node has looked, and before it is DRAINING. */
function placeTask(world: Stage['world'], arn: string): void {
  world.calls.onCall = ({ verb }) => {
    if (verb === 'drain' && world.cluster.tasks.length === 0) world.cluster.addTask(arn, { group: 'family:batch' });
  };
}

function readOnly(world: Stage['world']): void {
  const { set } = world.machine.files;
  world.machine.files.set = function (path, text) {
    if (path.startsWith(paths.ecsData)) throw new Unavailable(`EROFS: ${path}`);
    return set.call(this, path, text);
  };
}

/** Not the proof that files can be removed there. */
const isEffect = ({ verb, args }: Call) => verb !== 'remove' || args[0] === agentDb;

function asked({ world: { identity, clock } }: Stage): string {
  const { instanceId } = identity;
  const at = clock.now();
  return renderState({ instanceId, id: 'r', action: 'leave', reason: 'look', terminate: false, at });
}

describe('a new registration that is interrupted', () => {
  // The ECS agent had registered at the boot and ran a task. The node stopped it and removed its
  // checkpoint, and ECS had a third record.
  it.each([
    ['open', 20],
    ['closed', 20],
    ['closed', 60],
    // The ECS agent registers 25 s after the boot, and the list is a minute behind.
    ['closed', 85],
  ])(
    'by a reboot keeps the new record that ECS does not list yet, with the port %s: for %d s',
    async (port, seconds) => {
      const stage = outside();
      const { world, own } = stage;
      Object.assign(own, { status: 'INACTIVE', agentConnected: false });
      const fresh = world.joinCluster();
      fresh.capacityProvider = 'nodes';
      world.cluster.addTask(fresh.arn, { group: 'service:web', stopsAfterMs: Infinity });
      world.machine.files.set(agentDb, fresh.arn);
      const named = world.localAgent;
      if (port === 'closed') stage.host.ecsAgent.readAgent = async () => undefined;
      const { instanceId } = world.identity;
      const begun = { instanceId, cluster: 'demo', arn: own.arn, provider: 'nodes', startedAt: 0, stage: 'forgetting' };
      world.machine.files.set(paths.registration, renderState(begun));
      fresh.ec2InstanceId = 'i-0hidden';
      world.clock.schedule(seconds * 1_000, () => void (fresh.ec2InstanceId = instanceId));
      await live(stage, 10 * minute);
      expect(world.machine.stopped).toEqual([]);
      expect(world.localAgent).toEqual(named);
      expect(world.cluster.instances).toHaveLength(2);
      expect(fresh).toMatchObject({ status: 'ACTIVE', agentConnected: true });
    },
  );

  const points: [string, (call: Call) => boolean][] = [
    ...['draining', 'stopping', 'deregistering', 'forgetting', 'starting'].map((stage): [string, typeof isEffect] => [
      `noting that it is ${stage}`,
      ({ verb, args }) => verb === 'writeText' && String(args[1]).includes(`"stage": "${stage}"`),
    ]),
    ...['drain', 'stopUnit', 'deregisterContainerInstance', 'remove', 'restartUnit'].map(
      (verb): [string, typeof isEffect] => [verb, (call) => call.verb === verb && isEffect(call)],
    ),
  ];
  it.each(points.flatMap(([name, is]) => (['restart', 'reboot'] as const).map((how) => [name, how, is] as const)))(
    'after %s by a %s goes on, and ends once',
    async (_, how, is) => {
      const stage = outside();
      const { world } = stage;
      const { calls, clock, machine } = world;
      calls.onCall = (call) => {
        if (!is(call)) return;
        calls.crashAt(1, 'after');
        calls.onCall = undefined;
      };
      stage.agent();
      expect(await Promise.race([calls.crashed(), clock.run(10 * minute)])).toBe('crashed');
      const next = how === 'restart' ? world.restart() : world.reboot();
      if (how === 'reboot') {
        for (const each of world.cluster.instances) each.agentConnected = false;
        world.localAgent = undefined;
        machine.units.delete('ecs.service');
      }
      await live(stage, 30 * minute, next);
      expect(records(stage)).toMatchObject([{ capacityProvider: 'nodes', status: 'ACTIVE', agentConnected: true }]);
      expect(world.cluster.instances).toHaveLength(2);
      expect(stage.status().join.state).toBe('joined');
    },
  );

  it.each(['draining', 'stopping', 'deregistering'])(
    'by a stop of the agent while %s is not given up',
    async (when) => {
      const stage = outside();
      const { calls, clock } = stage.world;
      const verb = { draining: 'drain', stopping: 'stopUnit', deregistering: 'deregisterContainerInstance' }[when];
      const agent = stage.agent();
      let stopped: Promise<unknown> | undefined;
      calls.onCall = (call) => {
        if (call.verb === verb) stopped ??= agent.stop();
      };
      await clock.run(5 * minute);
      expect(stopped).toBeDefined();
      await live(stage, 10 * minute, stage.world.restart());
      expect(records(stage)).toMatchObject([{ capacityProvider: 'nodes', status: 'ACTIVE', agentConnected: true }]);
      expect(stage.status().registration?.detail).toBe('now in nodes');
    },
  );

  const drainedAt = ['stopUnit', 'deregisterContainerInstance', 'restartUnit'];
  it.each(drainedAt)('by a departure that only drains the node at %s ends with a drained record', async (when) => {
    const stage = outside();
    const agent = stage.agent();
    const { calls, machine } = stage.world;
    calls.onCall = (call) => {
      if (call.verb !== when || !isEffect(call)) return;
      calls.onCall = undefined;
      machine.files.set(paths.request, asked(stage));
    };
    await stage.world.clock.run(15 * minute);
    expect(stage.world.machine.units.get('ecs.service')).not.toBe('inactive');
    expect(records(stage)).toHaveLength(1);
    for (const record of records(stage)) expect(record).toMatchObject({ status: 'DRAINING', agentConnected: true });
    expect(stage.status().registration?.detail).toBe('now in nodes');
    await agent.stop();
  });

  // The new record was drained at once, while connections of its load balancer still had time.
  it('by a departure does not drain the new record before the node has left its load balancers', async () => {
    const leave = { targetGroups: [targetGroup], deregistrationSeconds: 300 };
    const stage = setStage(configOf({ leave }));
    putOutside(stage);
    const { calls, machine, balancers, clock } = stage.world;
    balancers.targetGroups.set(targetGroup, someBalancer(200_000));
    const agent = stage.agent();
    calls.onCall = ({ verb }) => {
      if (verb !== 'deregisterContainerInstance') return;
      calls.onCall = undefined;
      machine.files.set(paths.request, asked(stage));
    };
    await clock.run(15 * minute);
    const [left] = calls.of('deregisterTarget');
    const drained = calls.of('drain').filter(({ args }) => args[1] !== stage.own.arn);
    expect(drained.length).toBeGreaterThan(0);
    expect(drained[0]!.at - left!.at).toBeGreaterThanOrEqual(200_000);
    for (const record of records(stage)) expect(record.status).toBe('DRAINING');
    await agent.stop();
  });
});
