/** Each second source gives one answer for each of its states. */

import { describe, expect, it } from 'vitest';
import { askAgain, needsConfirmation, stillAgrees } from '../../../../../agent/departure/confirm.ts';
import type { Order } from '../../../../../agent/watching/watcher.ts';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import { paths, renderState } from '../../../../../core/state/state.ts';
import { bootedFirst, configOf, never, setStage, someOrder, type Stage } from '../../stage.ts';
import { denied, hour } from './in-service.ts';

/** A node that booted an hour ago. */
async function booted(config = configOf()): Promise<Stage> {
  const stage = setStage(config);
  await stage.world.clock.run(hour);
  return stage;
}

const ask = ({ host, config, world }: Stage, order: Partial<Order>) =>
  world.clock.finish(askAgain(host, config, someOrder(order), never));

const scaleIn = { cause: 'scale-in', ending: 'await' } as const;

describe('the second source of a scale-in', () => {
  it.each([
    ['Terminating:Wait', true],
    ['InService', false],
    ['Warmed:Pending:Wait', false],
  ])('says about a node that is %s: %s', async (state, agrees) => {
    const stage = await booted();
    stage.group.lifecycleState = state;
    expect(await ask(stage, scaleIn)).toEqual({ agrees, words: `Auto Scaling: ${state}` });
    expect((await ask(stage, { ...scaleIn, returns: true })).agrees).toBe(agrees || state.startsWith('Warmed:'));
  });

  it('denies it where the node is in no group, and is silent where Auto Scaling is', async () => {
    const stage = await booted();
    stage.world.group = undefined;
    expect(await ask(stage, scaleIn)).toEqual({ agrees: false, words: 'Auto Scaling: this instance is in no group' });
    stage.world.group = stage.group;
    stage.group.begin('terminate');
    stage.world.calls.fails('readMembership', new Unavailable('throttled'));
    expect(await ask(stage, scaleIn)).toEqual({ agrees: undefined, words: 'throttled' });
  });

  it.each([
    ['waits', true, true, true],
    ['does not wait', false, true, undefined],
    ['waits, but its group has no name', true, false, undefined],
  ])('is the hook where the role may not read the state: it %s', async (_, waits, isNamed, agrees) => {
    const stage = await booted();
    stage.world.calls.fails('readMembership', denied);
    if (!isNamed) stage.host.cloud = { ...stage.host.cloud, readOwnTags: async () => ({}) };
    if (waits) stage.group.begin('terminate');
    const words = agrees ? 'Auto Scaling: the terminate hook waits' : 'not authorized';
    expect(await ask(stage, scaleIn)).toEqual({ agrees, words });
    expect(await stage.world.clock.finish(stillAgrees(stage.host, stage.config, someOrder(scaleIn), true, never))).toBe(
      agrees === true,
    );
  });

  it('does not deny it where the role may ask for neither state nor hook', async () => {
    const stage = await booted();
    for (const verb of ['readMembership', 'heartbeat']) stage.world.calls.fails(verb, denied);
    expect(await ask(stage, scaleIn)).toEqual({ agrees: undefined, words: 'not authorized' });
  });

  it("is not EC2's spot request", async () => {
    const stage = await booted();
    stage.world.instance.spotStatus = 'marked-for-termination';
    const order = someOrder(scaleIn);
    const stays = stillAgrees(stage.host, stage.config, order, true, never);
    expect(await stage.world.clock.finish(stays)).toBe(false);
  });

  it('cannot be a hook where none is configured', async () => {
    const stage = await booted(configOf({ autoScaling: { terminateHook: '' } }));
    stage.world.calls.fails('readMembership', denied);
    expect((await ask(stage, scaleIn)).agrees).toBeUndefined();
    expect(stage.world.calls.of('heartbeat')).toEqual([]);
  });
});

describe('a spot notice that EC2 has confirmed', () => {
  const spot = someOrder({ cause: 'spot', ending: 'await' });
  const stays = ({ host, config, world }: Stage, isAlone: boolean) =>
    world.clock.finish(stillAgrees(host, config, spot, isAlone, never));

  it('stays confirmed while EC2 or, where no other order stands, its group says so', async () => {
    const stage = await booted();
    stage.world.instance.spotStatus = 'marked-for-termination';
    expect(await stays(stage, false)).toBe(true);
    stage.world.instance.spotStatus = 'fulfilled';
    expect(await stays(stage, true)).toBe(false);
    stage.group.begin('terminate');
    expect(await stays(stage, true)).toBe(true);
    expect(await stays(stage, false)).toBe(false);
  });

  it('is no longer confirmed where the role may ask neither, whatever the hook says', async () => {
    const stage = await booted();
    for (const verb of ['readSpotStatus', 'readMembership']) stage.world.calls.fails(verb, denied);
    stage.group.begin('terminate');
    expect(await stays(stage, true)).toBe(false);
  });

  it('stays as it is while EC2 or Auto Scaling is silent', async () => {
    for (const verb of ['readSpotStatus', 'readMembership']) {
      const stage = await booted();
      stage.world.instance.spotStatus = 'fulfilled';
      stage.world.calls.fails(verb, new Unavailable('throttled'));
      await expect(stays(stage, true)).rejects.toThrow(Unavailable);
    }
  });
});

describe('the second source of a full disk', () => {
  it('is the entry of the node in the queue, while the disk is full', async () => {
    const stage = await booted();
    stage.fillDisk(97);
    expect(await ask(stage, {})).toEqual({ agrees: false, words: 'ECS: not in the queue to leave' });
    stage.own.attributes.set('ecs-node.leave.docker', '1');
    expect((await ask(stage, {})).agrees).toBe(false);
    stage.own.attributes.set('ecs-node.leave.disk', '1');
    expect(await ask(stage, {})).toEqual({ agrees: true, words: 'ECS: queued to leave' });
    stage.fillDisk(20);
    expect(await ask(stage, {})).toEqual({ agrees: false, words: 'the disk is no longer full' });
    stage.fillDisk(97);
    stage.world.cluster.instances = [];
    expect((await ask(stage, {})).agrees).toBe(false);
  });
});

describe('the second source of a dead ECS agent', () => {
  it('is the record in ECS, once the agent had time to start', async () => {
    const stage = await booted();
    const order = { cause: 'ecs-agent' } as const;
    expect(await ask(stage, order)).toEqual({ agrees: false, words: 'ECS: the agent is connected' });
    stage.own.agentConnected = false;
    expect(await ask(stage, order)).toEqual({ agrees: true, words: 'ECS: not connected', lastsMs: 10_000 });
    stage.world.cluster.instances = [];
    expect(await ask(stage, order)).toEqual({
      agrees: true,
      words: 'ECS: no record of this instance',
      lastsMs: 30_000,
    });
    const young = setStage();
    young.own.agentConnected = false;
    expect(await ask(young, order)).toMatchObject({
      agrees: undefined,
      words: expect.stringContaining('the machine has just booted'),
    });
    young.own.agentConnected = true;
    expect((await ask(young, order)).agrees).toBe(false);
  });
});

describe('the second source of a dead Docker', () => {
  const order = { cause: 'docker' } as const;

  it.each([
    ['IMPAIRED', true],
    ['OK', false],
    ['INSUFFICIENT_DATA', undefined],
    [undefined, undefined],
  ])('is the health in ECS: %s means %s', async (health, agrees) => {
    const stage = await booted();
    stage.world.docker.state = 'dead';
    if (health === undefined) delete stage.own.runtimeHealth;
    else stage.own.runtimeHealth = health;
    const words = `ECS: the container runtime is ${health ?? 'of unknown health'}`;
    expect(await ask(stage, order)).toEqual({ agrees, words });
  });

  it('is not asked while Docker answers, or had no time to start', async () => {
    const stage = await booted();
    stage.own.runtimeHealth = 'IMPAIRED';
    expect(await ask(stage, order)).toEqual({ agrees: false, words: 'Docker answers' });
    const young = setStage();
    young.own.runtimeHealth = 'IMPAIRED';
    young.world.docker.state = 'dead';
    expect(await ask(young, order)).toEqual({ agrees: undefined, words: 'the machine has just booted' });
  });
});

describe('the second source of a node that does not join', () => {
  const joins = { cause: 'join-failed' } as const;
  const boots = { cause: 'bootstrap-failed' } as const;
  const checks = configOf({ join: { checks: [{ url: 'http://127.0.0.1/' }] } });

  it('is the connection in ECS, where the group does not launch the node', async () => {
    const stage = await booted(checks);
    expect(await ask(stage, joins)).toEqual({ agrees: false, words: 'ECS: the agent is connected' });
    stage.own.agentConnected = false;
    expect((await ask(stage, joins)).agrees).toBe(true);
  });

  // The ECS agent starts after the bootstrap, so each node that reboots is not connected meanwhile.
  it('is the record in ECS for a failed bootstrap, whether or not it is connected', async () => {
    const stage = await booted(checks);
    const words = 'ECS: a record of this instance, which has been in service';
    for (const isConnected of [true, false]) {
      stage.own.agentConnected = isConnected;
      expect(await ask(stage, boots)).toEqual({ agrees: false, words });
    }
    stage.world.cluster.instances.length = 0;
    expect((await ask(stage, boots)).agrees).toBe(true);
  });

  it.each([
    ['a failed bootstrap', boots, configOf(), true],
    ['a failed join', joins, configOf(), false],
    ["a failed join with the node's own checks", joins, checks, true],
  ])('is the launch by the group for %s', async (_, order, config, agrees) => {
    const stage = await booted(config);
    stage.group.begin('launch');
    stage.world.calls.list.length = 0;
    expect((await ask(stage, order)).agrees).toBe(agrees);
    // Also a person may hold the node there, which costs no further call.
    expect(stage.world.calls.of('readMembership')).toHaveLength(1);
  });

  it('makes the reason void in a warm pool, where the ECS agent is silent', async () => {
    const stage = await booted();
    stage.own.agentConnected = false;
    stage.group.lifecycleState = 'Warmed:Running';
    expect(await ask(stage, joins)).toEqual({ agrees: false, words: 'Auto Scaling: Warmed:Running', isVoid: true });
    expect(await ask(stage, boots)).toMatchObject({ agrees: true, words: 'Auto Scaling: Warmed:Running' });
  });

  it('agrees at once with a failed bootstrap only at the first boot', async () => {
    const stage = await booted();
    stage.group.begin('launch');
    const answer = { agrees: true, words: 'Auto Scaling: Pending:Wait' };
    expect(await ask(stage, boots)).toEqual({ ...answer, lastsMs: 75_000 });
    bootedFirst(stage);
    expect(await ask(stage, boots)).toEqual(answer);
    stage.world.cluster.instances.length = 0;
    stage.group.lifecycleState = 'InService';
    expect((await ask(stage, boots)).lastsMs).toBe(30_000);
  });

  it('is ECS alone for a role that may not ask Auto Scaling', async () => {
    const stage = await booted();
    stage.world.calls.fails('readMembership', denied);
    stage.own.agentConnected = false;
    expect((await ask(stage, joins)).agrees).toBe(true);
  });

  it('agrees where the cluster does not exist, and denies it where ECS refuses for another reason', async () => {
    const stage = await booted();
    stage.world.cluster.name = 'other';
    expect(await ask(stage, joins)).toMatchObject({ agrees: true, words: 'ECS: Cluster not found: demo' });
    stage.world.calls.fails('readContainerInstance', denied);
    expect(await ask(stage, joins)).toEqual({ agrees: false, words: 'not authorized' });
  });
});

describe('the second source of a person', () => {
  it('is the request, while it is there and the same', async () => {
    const stage = await booted();
    const order = { cause: 'operator', key: 'by-hand' } as const;
    const isGone = { agrees: false, words: 'the request is gone' };
    const { instanceId } = stage.world.identity;
    const request = { instanceId, id: 'by-hand', action: 'leave', reason: 'the rack', terminate: true, at: 0 };
    const put = (more: object) =>
      void stage.world.machine.files.set(paths.request, renderState({ ...request, ...more }));
    expect(await ask(stage, order)).toEqual(isGone);
    put({});
    expect(await ask(stage, order)).toEqual({ agrees: true, words: 'the request is still there: "the rack"' });
    put({ id: 'another' });
    expect(await ask(stage, order)).toEqual(isGone);
    expect((await ask(stage, { cause: 'operator' })).agrees).toBe(true);
    put({ action: 'stay' });
    expect(await ask(stage, order)).toEqual(isGone);
  });
});

describe('a node that a person holds', () => {
  it('does not leave for its own reason, and leaves for that of a person or of AWS', async () => {
    const stage = await booted();
    stage.own.agentConnected = false;
    stage.world.metadata.targetState = 'Standby';
    const held = { agrees: false, words: 'a person holds this node: the node is Standby in its group' };
    expect(await ask(stage, { cause: 'ecs-agent' })).toEqual(held);
    expect(await ask(stage, { cause: 'operator' })).toEqual({ agrees: false, words: 'the request is gone' });
    stage.group.begin('terminate');
    expect((await ask(stage, scaleIn)).agrees).toBe(true);
  });
});

it('a role that may not see whether a person holds the node ends no node for its own reason', async () => {
  const stage = await booted();
  stage.own.agentConnected = false;
  stage.world.calls.fails('readOwnTags', denied);
  const { agrees, words } = await ask(stage, { cause: 'ecs-agent' });
  expect([agrees, words]).toEqual([false, expect.stringContaining('the node does not end itself')]);
});

describe('a second source that does not answer', () => {
  it('denies the own reason of a node where AWS refuses it, and leaves it open where AWS is silent', async () => {
    const stage = await booted();
    stage.world.calls.fails('readContainerInstance', new Unavailable('throttled'));
    expect(await ask(stage, { cause: 'ecs-agent' })).toEqual({ agrees: undefined, words: 'throttled' });
    stage.world.calls.heals();
    stage.world.calls.fails('readContainerInstance', new Refused('denied'));
    expect(await ask(stage, { cause: 'ecs-agent' })).toEqual({ agrees: false, words: 'denied' });
    stage.world.calls.heals();
    stage.world.calls.fails('readContainerInstance', new TypeError('a bug'));
    await expect(ask(stage, { cause: 'ecs-agent' })).rejects.toThrow('a bug');
  });
});

describe('a departure', () => {
  it.each([
    ['terminate', 'disk', true],
    ['await', 'scale-in', true],
    ['remain', 'operator', true],
    ['remain', 'rebalance', false],
  ] as const)('that ends with %s for the cause %s needs a second source: %s', (ending, cause, needs) => {
    expect(needsConfirmation({ ending, cause })).toBe(needs);
    expect(needsConfirmation({ ending, cause, confirmedAt: 1 })).toBe(false);
  });
});
