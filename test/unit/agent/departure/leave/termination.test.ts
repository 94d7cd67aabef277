import { describe, expect, it } from 'vitest';
import { TakenBack } from '../../../../../agent/departure/confirm.ts';
import { runDeparture } from '../../../../../agent/departure/leave.ts';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { paths } from '../../../../../core/state/state.ts';
import type { Call } from '../../../../fakes/calls.ts';
import { configOf, never, setStage, someOrder, type Stage } from '../../stage.ts';

/** The machine ends soon after `deed`, and the process with it. */
async function leavesUntil(stage: Stage, deed: string): Promise<void> {
  const stop = new AbortController();
  const { host, config, deregister } = stage;
  stage.agrees();
  const done = runDeparture(host, config, someOrder(), { deregister }, stop.signal).catch(() => {});
  for (let minutes = 0; minutes < 60 && !stage.deeds().includes(deed); minutes++) await stage.world.clock.run(60_000);
  stop.abort();
  await stage.world.clock.finish(done);
}

describe('the termination', () => {
  // The second source of a person's request is a file, which answers while AWS is silent.
  it.each([
    ['readMembership', 'disk'],
    ['readMembership', 'operator'],
    ['readIdentity', 'disk'],
    ['readIdentity', 'operator'],
  ] as const)('waits without limit for %s instead of terminating without it, for the cause %s', async (verb, cause) => {
    const stage = setStage();
    const { calls } = stage.world;
    calls.onCall = () => {
      if (stage.departure()?.phase === 'terminate') calls.fails(verb, new Unavailable('silent'));
    };
    const order = someOrder({ cause });
    stage.agrees(order);
    const done = runDeparture(stage.host, stage.config, order, { deregister: stage.deregister }, never);
    await stage.world.clock.run(2 * 3_600_000);
    expect(stage.departure().phase).toBe('terminate');
    for (const deed of ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff']) {
      expect(stage.deeds()).not.toContain(deed);
    }
    calls.onCall = undefined;
    calls.heals();
    await stage.world.clock.finish(done);
    expect(stage.world.instance.state).toBe('shutting-down');
  });

  // It made three calls every 10 s for as long as ECS was silent.
  it('asks a silent second source less and less often, and goes on once that answers', async () => {
    const stage = setStage();
    const { calls, clock } = stage.world;
    calls.onCall = () => {
      if (stage.departure()?.phase === 'terminate') calls.fails('readContainerInstance', new Unavailable('silent'));
    };
    stage.agrees();
    const done = runDeparture(stage.host, stage.config, someOrder(), { deregister: stage.deregister }, never);
    for (let seconds = 0; seconds < 600 && stage.departure()?.phase !== 'terminate'; seconds++) await clock.run(1_000);
    const asksWithin = async (ms: number) => {
      calls.list.length = 0;
      await clock.run(ms);
      return calls.of('readMembership').length;
    };
    expect(await asksWithin(60_000)).toBeGreaterThanOrEqual(5);
    await clock.run(600_000);
    const inAnHour = await asksWithin(3_600_000);
    expect(inAnHour).toBeGreaterThanOrEqual(30);
    expect(inAnHour).toBeLessThanOrEqual(120);
    calls.onCall = undefined;
    calls.heals();
    await clock.finish(done);
    expect(stage.deeds()).toContain('terminateInGroup');
  });

  // One empty answer of Auto Scaling sent it past its group and its hooks.
  it('waits while Auto Scaling knows no group of it, and its tag names one', async () => {
    const stage = setStage();
    stage.world.instance.tags['aws:autoscaling:groupName'] = 'web';
    stage.world.group = undefined;
    stage.agrees();
    const done = runDeparture(stage.host, stage.config, someOrder(), { deregister: stage.deregister }, never);
    await stage.world.clock.run(2 * 3_600_000);
    expect(stage.deeds()).not.toContain('terminateSelf');
    stage.world.group = stage.group;
    await stage.world.clock.finish(done);
    expect(stage.deeds()).toContain('terminateInGroup');
  });

  it('never ends a machine that carries the departure of another machine', async () => {
    const stage = setStage();
    stage.world.metadata.identity = { ...stage.world.identity, instanceId: 'i-0aaaaaaaaaaaaaaaa' };
    await expect(stage.leaves()).rejects.toThrow(/this machine is i-0aaa/);
    expect(stage.world.instance.state).toBe('running');
    expect(stage.world.machine.power).toBe('on');
  });

  // The metadata service named another instance once, and the drained node stayed for ever.
  it('ends its machine although the metadata service names another instance for minutes', async () => {
    const stage = setStage();
    const { metadata, clock, identity } = stage.world;
    metadata.identity = { ...identity, instanceId: 'i-0aaaaaaaaaaaaaaaa' };
    clock.schedule(4 * 60_000, () => void (metadata.identity = identity));
    expect(await stage.leaves()).toMatchObject({ phase: 'done' });
    expect(stage.deeds()).toContain('terminateInGroup');
  });

  // Auto Scaling alone had said so for a moment: the node waited for an end that was never ordered.
  // A node that enters a warm pool has the pool as its target, not service.
  it.each(['InService', 'Warmed:Stopped'])(
    'terminates itself although Auto Scaling says for minutes that it does so already, with the target %s',
    async (target) => {
      const stage = setStage();
      stage.world.metadata.targetState = target;
      stage.group.lifecycleState = 'Terminating:Wait';
      stage.world.clock.schedule(4 * 60_000, () => void (stage.group.lifecycleState = 'InService'));
      const began = stage.world.clock.uptime();
      await stage.leaves();
      expect(stage.deeds()).toContain('terminateInGroup');
      expect(stage.world.instance.state).toBe('shutting-down');
      // A node that leaves its end to the group ends itself after a quarter of an hour.
      expect(stage.world.clock.uptime() - began).toBeLessThan(8 * 60_000);
    },
  );

  // Seed 720006874: one look at the metadata service was throttled, and the group's lie counted.
  it('terminates itself although the metadata service, which contradicts Auto Scaling, falls silent', async () => {
    const stage = setStage();
    const { world } = stage;
    world.metadata.targetState = 'InService';
    stage.group.lifecycleState = 'Terminating:Wait';
    let looks = 0;
    world.calls.onCall = ({ verb }) => {
      const isLook = verb === 'readTargetState' && stage.departure()?.phase === 'terminate';
      if (isLook && looks++ > 1) world.metadata.targetState = undefined;
    };
    world.clock.schedule(4 * 60_000, () => void (stage.group.lifecycleState = 'InService'));
    const began = world.clock.uptime();
    await stage.leaves();
    expect(looks).toBeGreaterThan(2);
    expect(stage.deeds()).toContain('terminateInGroup');
    expect(world.clock.uptime() - began).toBeLessThan(8 * 60_000);
    expect(world.instance.state).toBe('shutting-down');
  });

  // The agent ended with its work done, and the node stayed DRAINING in its group.
  it.each([1, 5])(
    'terminates itself although Auto Scaling says %s times that it does so, and the metadata name no target',
    async (lies) => {
      const stage = setStage();
      const { world } = stage;
      world.metadata.targetState = undefined;
      let left = lies;
      world.calls.onCall = ({ verb }) => {
        const isEnding = world.machine.files.has(paths.departure) && stage.departure().phase === 'terminate';
        if (verb !== 'readMembership' || !(isEnding || left < lies)) return;
        if (world.calls.verbs().includes('terminateInGroup')) return;
        stage.group.lifecycleState = left-- > 0 ? 'Terminating:Wait' : 'InService';
      };
      await stage.leaves({ cause: 'operator', reason: 'by hand', key: 'leave-1' });
      expect(stage.deeds()).toContain('terminateInGroup');
      expect(world.instance.state).toBe('shutting-down');
    },
  );

  it('uses the next method only when the one before is refused or stays unavailable', async () => {
    const refused = new Refused('AccessDenied', { code: 'AccessDenied' });
    const chain = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'];
    for (let n = 0; n < chain.length; n++) {
      const stage = setStage();
      stage.group.hooks = [];
      for (const [i, verb] of chain.slice(0, n).entries()) {
        stage.world.calls.fails(verb, i % 2 === 0 ? refused : new Unavailable('throttled'));
      }
      await leavesUntil(stage, chain[n]!);
      const taken = [...new Set(stage.deeds().filter((verb) => chain.includes(verb)))];
      expect(taken).toEqual(chain.slice(0, n + 1));
    }
  });

  // Without the names, a person does not know which permissions to add.
  it('tells which calls AWS refused', async () => {
    const stage = setStage();
    const refused = new Refused('not authorized', { code: 'AccessDenied' });
    for (const verb of ['terminateInGroup', 'reportUnhealthy']) stage.world.calls.fails(verb, refused);
    await leavesUntil(stage, 'terminateSelf');
    const { troubles } = stage.departure();
    expect(troubles).toContain('TerminateInstanceInAutoScalingGroup: not authorized');
    expect(troubles).toContain('SetInstanceHealth: not authorized');
  });

  // All four methods were tried for minutes on the answer of the first second.
  it('tries no further method when its reason has passed while AWS throttled the first one', async () => {
    const stage = setStage();
    const { world } = stage;
    for (const verb of ['terminateInGroup', 'reportUnhealthy', 'terminateSelf'])
      world.calls.fails(verb, new Unavailable('Rate exceeded'));
    world.calls.onCall = ({ verb }) => {
      if (verb === 'terminateInGroup') stage.fillDisk(20);
    };
    await expect(stage.leaves()).rejects.toThrow(TakenBack);
    expect(stage.deeds()).not.toContain('reportUnhealthy');
    expect(world.machine.power).toBe('on');
  });

  it('does not rely on a group that suspended the replacement of unhealthy instances', async () => {
    const stage = setStage();
    stage.group.replacesAfterMs = 1e9;
    stage.world.calls.fails('terminateInGroup', new Refused('AccessDenied'));
    await leavesUntil(stage, 'terminateSelf');
    expect(stage.world.instance.state).toBe('shutting-down');
  });

  // A throttled request and one wrong "Terminating" left the node DRAINING for ever.
  it.each([
    ['asks again where the group seemed to have taken a request, and does not end the node', false],
    ['asks again where its role may then not ask the group, and the metadata say InService', true],
  ])('%s', async (_what, refused) => {
    const stage = setStage();
    stage.world.calls.fails('terminateInGroup', new Unavailable('Rate exceeded'), 1);
    stage.world.calls.delays('readMembership', 50);
    let reads = 0;
    const wrongAnswer = ({ verb }: Call) => {
      if (verb === 'terminateInGroup') stage.group.lifecycleState = 'Terminating';
      else if (stage.group.lifecycleState === 'Terminating' && verb === 'readMembership' && ++reads > 1) {
        stage.group.lifecycleState = 'InService';
        stage.world.calls.onCall = refused ? refuse : undefined;
      }
    };
    const refuse = ({ verb }: Call) => {
      stage.world.calls.fails('readMembership', new Refused('AccessDenied'));
      if (verb === 'terminateInGroup') stage.world.metadata.targetState = 'Terminated';
    };
    stage.world.calls.onCall = wrongAnswer;
    await stage.leaves();
    expect(stage.deeds().filter((verb) => verb === 'terminateInGroup')).toHaveLength(2);
  });

  it('ends a node without a group through EC2, and clears the protection that OpsWorks set', async () => {
    const stage = setStage(configOf({ terminationProtection: 'clear' }));
    stage.world.group = undefined;
    stage.world.metadata.targetState = undefined;
    stage.world.instance.terminationProtection = true;
    await stage.leaves();
    expect(stage.world.instance.state).toBe('shutting-down');
    expect(stage.deeds()).not.toContain('terminateInGroup');
  });

  it('reads back that the protection is off before it asks the group, which could not end the node', async () => {
    const stage = setStage(configOf({ terminationProtection: 'clear' }));
    stage.world.instance.terminationProtection = true;
    stage.world.instance.clearsIgnored = 1;
    const protectedThen: boolean[] = [];
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'terminateInGroup') protectedThen.push(stage.world.instance.terminationProtection);
    };
    await stage.leaves();
    expect(protectedThen).toEqual([false]);
    expect(stage.world.calls.of('clearTerminationProtection')).toHaveLength(2);
  });

  it('abandons its launch when the node was never in service', async () => {
    const stage = setStage();
    stage.own.agentConnected = false;
    stage.group.begin('launch');
    await stage.leaves({ cause: 'join-failed', reason: 'not in service' });
    expect(stage.group.hooks.map(({ ended }) => ended)).toEqual(['ABANDON', 'CONTINUE']);
    expect(stage.deeds()).not.toContain('terminateInGroup');
  });

  // The answer came from the second of two calls, which found no action any more: the node asked
  // its group for minutes.
  it('counts as requested when AWS received the call that abandoned the launch twice', async () => {
    const stage = setStage();
    stage.own.agentConnected = false;
    stage.group.begin('launch');
    stage.world.calls.onCall = ({ verb, args }) => {
      if (verb !== 'completeHook' || args[2] !== 'ABANDON') return;
      stage.group.hooks[0]!.active = false;
      stage.group.begin('terminate');
    };
    await stage.leaves({ cause: 'join-failed', reason: 'not in service' });
    expect(stage.deeds()).not.toContain('terminateInGroup');
    expect(stage.deeds()).not.toContain('reportUnhealthy');
  });

  // The answer was lost, and from then on the group was busy: with this very instance, whose hook
  // nobody completed for minutes.
  it('asks the busy group once more whether it already terminates this node', async () => {
    const stage = setStage();
    stage.world.calls.losesAnswer('terminateInGroup', new Unavailable('socket hang up'), 1);
    const state = await stage.leaves();
    expect(stage.world.calls.of('terminateInGroup')).toHaveLength(1);
    expect(stage.group.hooks.find(({ name }) => name === 'terminate')?.ended).toBe('CONTINUE');
    expect(state.troubles).toEqual([]);
  });

  // Its group had begun to terminate it, but an older answer said that it was entering the warm
  // pool: the hook let it in.
  it("does not take an earlier answer of the group for the node's return to its warm pool", async () => {
    const stage = setStage();
    const said = ['Warmed:Pending:Wait', 'Terminating:Wait'];
    stage.world.metadata.targetState = 'Terminated';
    stage.group.begin('terminate');
    stage.world.cluster.instances.length = 0;
    stage.world.calls.onCall = ({ verb }) => {
      const isAtEnd = ['terminate', 'hook'].includes(stage.departure()?.phase);
      if (verb === 'readMembership' && isAtEnd) stage.group.lifecycleState = said.shift() ?? 'Terminating:Wait';
    };
    await stage.leaves({ cause: 'bootstrap-failed', reason: 'no registrar' });
    const completed = stage.world.calls.of('completeHook').map(({ args }) => args[1]);
    expect(completed).toEqual(['terminate']);
  });

  // Taken from its warm pool and terminated, it got an older answer that it waited in the pool. It
  // stopped there, and its hook was never completed.
  it('is not over for a node that was in its warm pool before', async () => {
    const stage = setStage();
    stage.world.calls.onCall = ({ verb }) => {
      if (verb !== 'readMembership' || stage.group.lifecycleState !== 'Terminating:Wait') return;
      stage.group.lifecycleState = 'Warmed:Stopped';
      stage.world.clock.schedule(4_000, () => (stage.group.lifecycleState = 'Terminating:Wait'));
    };
    stage.world.clock.schedule(3 * 60_000, () => (stage.world.calls.onCall = undefined));
    await stage.leaves({ cause: 'operator', reason: 'by hand', key: 'leave-1' });
    expect(stage.group.hooks[1]!.ended).toBe('CONTINUE');
  });

  it('ends no node that only drains', async () => {
    const stage = setStage();
    const state = await stage.leaves({ cause: 'operator', reason: 'look', ending: 'remain', key: 'leave-1' });
    expect(state.phase).toBe('done');
    expect(stage.deeds()).toEqual(['drain', 'queueToLeave']);
  });
});
