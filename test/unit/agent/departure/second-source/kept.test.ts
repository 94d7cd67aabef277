import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../../core/errors.ts';
import { paths } from '../../../../../core/state/state.ts';
import { lazily, setStage, type Stage } from '../../stage.ts';
import { ask } from '../../running/in-service.ts';
import { minute, hour, denied, deadly, inService } from './in-service.ts';

describe('scheduled maintenance', () => {
  const event = (code: string, notBefore: number) => ({
    id: 'instance-event-1',
    code,
    state: 'active' as const,
    notBefore,
    description: '',
  });

  it('drains and terminates no node when EC2 does not list it', async () => {
    const { stage, world, run, agent, harm } = await inService({ maintenance: { pollSeconds: 10 } });
    world.instance.events = [];
    world.metadata.maintenance = [event('instance-retirement', stage.host.clock.now() + hour)];
    await run(hour);
    expect(harm()).toEqual([]);
    world.instance.events = [{ id: 'instance-event-1', code: 'instance-retirement' }];
    await run(5 * minute);
    expect(stage.deeds()).toContain('terminateInGroup');
    await agent.stop();
  });

  // Seed 730009751: the event that EC2 no longer listed had the earlier date, and was asked about
  // each minute for as long as the metadata service listed it.
  it.each([false, true])(
    'is obeyed behind an earlier event that EC2 does not list (after a restart: %s)',
    async (restarts) => {
      const node = await inService({ maintenance: { pollSeconds: 10 } });
      const { stage, world, run } = node;
      const [done, due] = [event('instance-retirement', 0), event('instance-stop', 24 * hour)].map((each, n) => ({
        ...each,
        id: `instance-event-${n}`,
        notBefore: stage.host.clock.now() + hour + each.notBefore,
      }));
      world.instance.events = [];
      world.metadata.maintenance = [done!];
      await run(5 * minute);
      expect(stage.own.status).toBe('ACTIVE');
      if (restarts) await node.agent.stop();
      const agent = restarts ? stage.agent(world.restart()) : node.agent;
      world.instance.events = [{ id: due!.id, code: 'instance-stop' }];
      world.metadata.maintenance = [done!, due!];
      await run(40_000);
      expect(stage.own.status).toBe('DRAINING');
      await run(5 * minute);
      expect(stage.departure()).toMatchObject({ cause: 'maintenance', key: `maintenance:${due!.id}` });
      expect(stage.deeds()).toContain('terminateInGroup');
      await agent.stop();
    },
  );

  // The event was true, and only the clock of the metadata service was wrong.
  it('two weeks away terminates no node because metadata names a time fifteen days ahead', async () => {
    const { stage, world, run, agent, harm } = await inService({ maintenance: { pollSeconds: 10 } });
    const day = 24 * hour;
    world.instance.now = stage.host.clock.now;
    world.metadata.now = () => stage.host.clock.now() + 15 * day;
    world.metadata.maintenance = [event('instance-reboot', stage.host.clock.now() + 14 * day)];
    await run(hour);
    expect(harm()).toEqual([]);
    world.metadata.now = stage.host.clock.now;
    world.metadata.maintenance = [event('instance-reboot', stage.host.clock.now() + 0.4 * hour)];
    await run(10 * minute);
    expect(stage.deeds()).toContain('terminateInGroup');
    await agent.stop();
  });

  it('two weeks away terminates no node when the local clock jumps by fifteen days', async () => {
    const { stage, world, run, agent, harm } = await inService({ maintenance: { pollSeconds: 10 } });
    const day = 24 * hour;
    world.metadata.maintenance = [event('instance-reboot', stage.host.clock.now() + 14 * day)];
    world.clock.jump(15 * day);
    await run(hour);
    expect(harm()).toEqual([]);
    await agent.stop();
  });
});

describe('a node that is held', () => {
  const troubles: [string, (stage: Stage) => void][] = [
    ['disk', (stage) => stage.fillDisk(97)],
    [
      'ecs-agent',
      (stage) => {
        stage.own.agentConnected = false;
        stage.world.localAgent = undefined;
      },
    ],
    [
      'maintenance',
      (stage) =>
        void (stage.world.metadata.maintenance = [
          { id: 'e-1', code: 'instance-retirement', state: 'active', description: '' },
        ]),
    ],
  ];
  const holds: [string, (stage: Stage) => void][] = [
    [
      'Standby',
      ({ world, group }) => {
        world.metadata.targetState = 'Standby';
        group.lifecycleState = 'Standby';
      },
    ],
    [
      'Detached',
      ({ world }) => {
        world.metadata.targetState = 'Detached';
        world.group = undefined;
      },
    ],
    ['a shown tag', ({ world }) => void (world.metadata.tags = { 'ecs-node:keep': '' })],
    ['a tag', ({ world }) => void (world.instance.tags['ecs-node:keep'] = 'yes')],
  ];
  // A person stopped ecs to investigate, and the node was terminated after five minutes.
  it.each(troubles.flatMap(([cause, harm]) => holds.map(([how, hold]) => [how, cause, hold, harm] as const)))(
    'by %s is neither drained, restarted nor ended for: %s',
    async (_how, cause, hold, harm) => {
      const stage = setStage(lazily());
      const agent = stage.agent();
      await stage.world.clock.run(minute);
      stage.world.calls.list.length = 0;
      hold(stage);
      harm(stage);
      await stage.world.clock.run(2 * hour);
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.deeds()).toEqual([]);
      // Nothing is wrong with a hold: it was an error in the status, and two warnings at each look.
      const words = expect.stringContaining('a person holds this node: ') as string;
      const warnings = stage.world.log.filter(({ level, fields }) => level === 'warn' && fields?.['watcher'] === cause);
      expect(warnings).toMatchObject([{ message: 'left alone', fields: { why: words } }]);
      const { watchers, lastError } = stage.status();
      expect(watchers[cause]).toMatchObject({ reason: words });
      expect([watchers[cause]?.error, lastError]).toEqual([undefined, undefined]);
      await agent.stop();
    },
  );

  // The disk filled with a dump, or a person stopped ecs to look at its data: the node ended under
  // that person.
  it.each(troubles.flatMap(([cause, harm]) => ['before', 'after'].map((when) => [cause, when, harm] as const)))(
    'by a person who drained it to examine it stays, with trouble of %s %s that request',
    async (_cause, when, harm) => {
      const stage = setStage(lazily());
      const { world } = stage;
      const agent = stage.agent();
      await world.clock.run(minute);
      if (when === 'before') {
        world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
        harm(stage);
        while (stage.departure() === null) await world.clock.run(1_000);
      }
      ask(stage, 'leave', false);
      await world.clock.run(minute);
      if (when === 'after') harm(stage);
      await world.clock.run(2 * hour);
      expect(stage.deeds().filter((deed) => deadly.includes(deed))).toEqual([]);
      expect(stage.departure()).toMatchObject({ cause: 'operator', ending: 'remain' });
      ask(stage, 'leave');
      await world.clock.run(hour);
      expect(stage.deeds()).toContain('terminateInGroup');
      await agent.stop();
    },
  );
});

// Its load balancers, its leaving hooks and its registrar were left before it looked at its group.
it.each([
  ['Standby', false],
  ['InService', true],
])('a node that only its group shows in %s leaves for a full disk: %s', async (state, leaves) => {
  const { stage, world, run, agent, harm } = await inService({ disk: { checkSeconds: 10 } });
  world.metadata.targetState = 'InService';
  stage.group.lifecycleState = state;
  stage.fillDisk(97);
  await run(hour);
  expect(stage.deeds().includes('terminateInGroup')).toBe(leaves);
  expect(harm().length > 0).toBe(leaves);
  await agent.stop();
});

// Not knowing is no reason to end a node.
it('a node whose request is not readable does not end itself for its own reason', async () => {
  const { stage, world, run, agent } = await inService({ disk: { checkSeconds: 10 } });
  ask(stage, 'leave', false);
  await run(minute);
  expect(stage.departure()).toMatchObject({ cause: 'operator', phase: 'done' });
  world.calls.onCall = ({ verb, args }) => {
    if (verb === 'readText' && args[0] === paths.request) throw new Unavailable('EIO');
  };
  stage.fillDisk(97);
  await run(2 * hour);
  expect(stage.deeds().filter((deed) => deadly.includes(deed))).toEqual([]);
  await agent.stop();
});

// A person kept the node, and its tag was missing in a list of EC2 that was not whole.
it('a node of a group does not end itself while EC2 lists none of its tags', async () => {
  const { stage, world, run, agent } = await inService({ disk: { checkSeconds: 10 } });
  const { readOwnTags } = stage.host.cloud;
  let isWhole = false;
  stage.host.cloud = { ...stage.host.cloud, readOwnTags: async (signal) => (isWhole ? readOwnTags(signal) : {}) };
  for (const target of [undefined, 'InService']) {
    world.metadata.targetState = target;
    stage.fillDisk(97);
    await run(hour);
    expect(stage.deeds()).toEqual([]);
    expect(stage.status().watchers['disk']?.error).toContain('lacks the tag aws:autoscaling:groupName');
  }
  isWhole = true;
  await run(hour);
  expect(stage.deeds()).toContain('terminateInGroup');
  await agent.stop();
});

describe('a node whose role may not read its tags', () => {
  const refuse = ({ world }: Stage) => world.calls.fails('readOwnTags', denied);

  // A person had tagged the node to investigate, and it was terminated without a word.
  it('stays when it would end itself, says so, and leaves once it may read them', async () => {
    const { stage, world, run } = await inService({ disk: { checkSeconds: 10 } }, refuse);
    stage.fillDisk(97);
    await run(hour);
    expect(stage.deeds().filter((deed) => deadly.includes(deed))).toEqual([]);
    expect(JSON.stringify(world.log)).toContain('allow ec2:DescribeTags');
    expect(stage.status().watchers['disk']?.error).toContain('allow ec2:DescribeTags');
    world.calls.heals('readOwnTags');
    await run(hour);
    expect(stage.deeds()).toContain('terminateInGroup');
  });

  it('still restarts its ECS agent', async () => {
    const { stage, world, run, agent } = await inService({}, refuse);
    stage.own.agentConnected = false;
    world.localAgent = undefined;
    await run(hour);
    expect(world.machine.restarted.length).toBeGreaterThan(0);
    expect(stage.deeds().filter((deed) => deadly.includes(deed))).toEqual([]);
    await agent.stop();
  });

  it('still leaves for a scale-in and for a person', async () => {
    for (const cause of ['scale-in', 'operator'] as const) {
      const { stage, world, run } = await inService({}, refuse);
      if (cause === 'operator') stage.agrees({ cause, key: 'leave-1' });
      else {
        world.metadata.targetState = 'Terminated';
        stage.group.lifecycleState = 'Terminating:Wait';
      }
      await run(10 * minute);
      expect(stage.own.status).not.toBe('ACTIVE');
    }
  });
});
