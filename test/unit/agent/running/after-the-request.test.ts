/**
 * The node has requested its end, or is about to. AWS, the group and people need time, and the
 * node's reason may pass meanwhile.
 */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { paths } from '../../../../core/state/state.ts';
import { someHook } from '../../../fakes/cloud/group.ts';
import { configOf, type Stage } from '../stage.ts';
import { ask, hour, inService, minute } from './in-service.ts';

const denied = new Refused('not authorized', { code: 'AccessDenied' });
const methods = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'];

async function runUntil(stage: Stage, isSo: () => boolean): Promise<void> {
  for (let seconds = 0; seconds < 3_600 && !isSo(); seconds += 5) await stage.world.clock.run(5_000);
  expect(isSo()).toBe(true);
}

/** After the node's request, the group says that it terminates the node, until it is believed. */
function lieUntilBelieved({ world, group, departure }: Stage): void {
  let [hasAsked, isBelieved] = [false, false];
  world.calls.onCall = ({ verb }) => {
    hasAsked ||= verb === 'terminateInGroup';
    isBelieved ||= departure()?.phase === 'hook';
    group.lifecycleState = hasAsked && !isBelieved ? 'Terminating' : 'InService';
  };
}

describe('a node whose reason passes', () => {
  // It rested on an answer of four minutes ago, and ended.
  it('while its group is busy becomes ACTIVE again', async () => {
    const { stage, agent, run } = await inService();
    stage.world.calls.fails('terminateInGroup', new Unavailable('ScalingActivityInProgress'));
    stage.fillDisk(97);
    await runUntil(stage, () => stage.deeds().includes('terminateInGroup'));
    stage.fillDisk(20);
    await run(2 * minute);
    stage.world.calls.heals();
    await run(10 * minute);
    expect(stage.group.lifecycleState).toBe('InService');
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('while its health report is throttled becomes ACTIVE again', async () => {
    const { stage, agent, run } = await inService();
    stage.world.calls.fails('terminateInGroup', denied);
    stage.world.calls.fails('reportUnhealthy', new Unavailable('Rate exceeded'));
    stage.fillDisk(97);
    await runUntil(stage, () => stage.deeds().includes('reportUnhealthy'));
    stage.fillDisk(20);
    await run(minute);
    stage.world.calls.heals();
    await run(10 * minute);
    expect(stage.group.lifecycleState).toBe('InService');
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // The group said once that it terminates the node. The node waited 70 minutes for its hook.
  it.each(['busy', 'denied'])('is ACTIVE within minutes after one wrong answer of its group (%s)', async (how) => {
    const { stage, agent, run } = await inService(configOf({ leave: { drainSeconds: 3600 } }));
    const { world } = stage;
    if (how === 'busy') world.calls.fails('terminateInGroup', new Unavailable('ScalingActivityInProgress'));
    else for (const method of methods) world.calls.fails(method, denied);
    lieUntilBelieved(stage);
    stage.fillDisk(97);
    await runUntil(stage, () => stage.departure()?.phase === 'hook');
    stage.fillDisk(20);
    await run(4 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  // The wait for the hook ended, the agent ended with it, and the node was DRAINING for ever.
  it.each(['silent', 'Terminated'])(
    'after that is ACTIVE although metadata does not deny its end (%s)',
    async (how) => {
      const { stage, agent, run } = await inService();
      const { world } = stage;
      for (const method of methods) world.calls.fails(method, denied);
      lieUntilBelieved(stage);
      stage.fillDisk(97);
      await runUntil(stage, () => stage.departure()?.phase === 'hook');
      if (how === 'silent') world.calls.fails('readTargetState', new Unavailable('no answer'));
      else world.metadata.targetState = 'Terminated';
      await run(2 * hour);
      world.calls.heals('readTargetState');
      world.metadata.targetState = 'InService';
      stage.fillDisk(20);
      await run(10 * minute);
      expect(stage.own.status).toBe('ACTIVE');
      await agent.stop();
    },
  );

  // The second source had agreed, and the node's disk was written before the call.
  it('while its machine stands still right before the request becomes ACTIVE again', async () => {
    const { stage, agent, run } = await inService();
    const { calls, clock } = stage.world;
    calls.onCall = ({ verb, args }) => {
      if (verb !== 'writeText' || !String(args[1]).includes('askedToEndAt')) return;
      calls.onCall = undefined;
      stage.fillDisk(20);
      clock.standStill(2 * hour);
    };
    stage.fillDisk(97);
    await runUntil(stage, () => calls.onCall === undefined);
    await run(10 * minute);
    expect(stage.deeds().filter((verb) => methods.includes(verb))).toEqual([]);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('while its hooks save their logs requests no end', async () => {
    const { stage, agent, run } = await inService();
    const { world } = stage;
    const path = '/etc/ecs-node/hooks.d/left/10-save-logs';
    world.machine.files.set(path, '#!/bin/sh\n');
    world.machine.programs.set(path, async () => {
      stage.fillDisk(20);
      await world.clock.sleep(25_000, new AbortController().signal);
      return { code: 0, tail: '' };
    });
    stage.fillDisk(97);
    await run(30 * minute);
    expect(stage.deeds().filter((deed) => methods.includes(deed))).toEqual([]);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });
});

describe('a node whose group took its end, and waits for the hook of another program', () => {
  const taken = async (refused: boolean) => {
    const on = await inService();
    const { stage } = on;
    if (refused) stage.world.calls.fails('readMembership', denied);
    stage.group.hooks = [someHook('other', 'terminate', { heartbeatSeconds: 20_000, globalSeconds: 172_800 })];
    stage.world.calls.delays('terminateInGroup', 1_000);
    stage.fillDisk(97);
    await runUntil(stage, () => stage.deeds().includes('terminateInGroup'));
    stage.world.metadata.targetState = 'Terminated';
    return on;
  };

  it.each([true, false])('ends nothing itself (its role may not ask the group: %s)', async (refused) => {
    const { stage, agent, run } = await taken(refused);
    await run(2 * hour);
    expect(stage.deeds().filter((deed) => methods.includes(deed))).toEqual(['terminateInGroup']);
    await agent.stop();
  });

  it('tries to complete its own hook for an hour at most', async () => {
    const { stage, agent, run } = await taken(false);
    await run(hour);
    const before = stage.deeds().length;
    await run(hour);
    expect(stage.deeds().slice(before)).toEqual([]);
    await agent.stop();
  });

  it('stays drained when its disk is freed, where its role may not ask the group', async () => {
    const { stage, agent, run } = await taken(true);
    stage.fillDisk(20);
    await run(hour);
    expect(stage.deeds()).not.toContain('activate');
    await agent.stop();
  });
});

// ACTIVE for a minute: the denial of the first request dropped the second one.
describe('a person whose request to leave AWS refuses', () => {
  it.each([true, false])('may repeat it, and the node stays drained (to terminate: %s)', async (terminate) => {
    const { stage, agent, run } = await inService();
    for (const method of methods) stage.world.calls.fails(method, denied);
    ask(stage, 'leave');
    await run(5 * minute);
    expect(stage.departure().irrevocable?.askedToEndAt).toBeDefined();
    ask(stage, 'leave', terminate);
    await run(20 * minute);
    expect(stage.deeds()).not.toContain('activate');
    await agent.stop();
  });
});

it('a clock that is set back keeps no node drained that may not ask its group', async () => {
  const { stage, agent, run } = await inService();
  const { world } = stage;
  world.calls.fails('readMembership', denied);
  for (const method of methods) world.calls.fails(method, new Unavailable('no answer'));
  stage.fillDisk(97);
  await runUntil(stage, () => stage.departure()?.irrevocable?.askedToEndAt !== undefined);
  world.clock.jump(-3 * hour);
  stage.fillDisk(20);
  await run(30 * minute);
  expect(stage.own.status).toBe('ACTIVE');
  await agent.stop();
});

// SIGTERM and a kill find the departure in its phase `hook`. The next boot took it for done.
describe.each(['disk', 'operator'] as const)('a machine in no group that was powered off for %s', (cause) => {
  const poweredOff = async () => {
    const on = await inService(configOf());
    const { stage } = on;
    const { world } = stage;
    [world.group, world.metadata.targetState] = [undefined, undefined];
    world.calls.fails('terminateSelf', denied);
    if (cause === 'operator') ask(stage, 'leave');
    else stage.fillDisk(97);
    await runUntil(stage, () => world.machine.power === 'off');
    await on.agent.stop();
    expect(stage.departure().phase).toBe('hook');
    world.machine.power = 'on';
    return on;
  };

  it('becomes ACTIVE when that is over at its next boot', async () => {
    const { stage, run } = await poweredOff();
    stage.world.calls.heals();
    stage.fillDisk(20);
    stage.world.machine.files.delete(paths.request);
    const next = stage.agent(stage.world.reboot());
    await run(30 * minute);
    await next.stop();
    expect(stage.own.status).toBe('ACTIVE');
  });

  it('leaves again when that lasts', async () => {
    const { stage, run } = await poweredOff();
    const next = stage.agent(stage.world.reboot());
    await run(2 * hour);
    await next.stop();
    expect(stage.world.machine.power).toBe('off');
  });
});
