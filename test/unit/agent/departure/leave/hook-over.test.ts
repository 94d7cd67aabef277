/** A node whose group says wrongly, or does not say, that a hook is over. */

import { expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import type { Host } from '../../../../../core/host.ts';
import { configOf, setStage, type Stage } from '../../stage.ts';
import { hour, minute } from '../../running/in-service.ts';

/** Its group names another state `times` times while `isLie()`. */
function deceived({ host }: Stage, said: string, isLie: () => boolean, times = 1) {
  const lie = { told: 0 };
  const readMembership: Host['cloud']['readMembership'] = async (signal) => {
    const truth = await host.cloud.readMembership(signal);
    if (truth === undefined || lie.told >= times || !isLie()) return truth;
    lie.told++;
    return { ...truth, lifecycleState: said };
  };
  return { lie, host: { ...host, cloud: { ...host.cloud, readMembership } } };
}

const isInHookPhase = (stage: Stage) => () => stage.departure()?.phase === 'hook';

/** These calls fail from the moment at which the node leaves its registrar. */
function failsLate({ world }: Stage, verbs: readonly string[]): void {
  world.calls.onCall = ({ verb, args }) => {
    if (verb !== 'writeText' || !/"phase": ?"registrar"/.test(String(args[1]))) return;
    for (const each of verbs) world.calls.fails(each, new Unavailable('HTTP 503'));
    world.calls.onCall = undefined;
  };
}

// One answer that was older than the hook ended the departure, and its heartbeats. The hook timed
// out, and the group terminated a node that was to return into its pool.
it.each(['Warmed:Running', 'Warmed:Pending:Proceed'])(
  'a node that returns into its pool completes its hook although its group says %s once',
  async (said) => {
    const stage = setStage();
    const { world, group } = stage;
    const { lie, host } = deceived(stage, said, isInHookPhase(stage));
    const agent = stage.agent(host);
    await world.clock.run(minute);
    world.metadata.targetState = 'Warmed:Running';
    group.beginReturn('Running');
    await world.clock.run(20 * minute);
    expect(lie.told).toBe(1);
    expect(group.hooks[1]!.ended).toBe('CONTINUE');
    expect(world.instance.state).toBe('running');
    await agent.stop();
  },
);

// AWS did not know the hook yet. The node was done on that one answer, and the hook timed out.
// The target of a scale-in is the same before and after the hook, so it confirms no such answer.
it.each([
  ['the metadata are silent', ['readTargetState']],
  ['the target is Terminated', []],
])('a node completes its hook although its group says once that it is over, and %s', async (_what, silent) => {
  const stage = setStage();
  const { world, group } = stage;
  const { lie, host } = deceived(stage, 'Terminating:Proceed', isInHookPhase(stage));
  const agent = stage.agent(host);
  await world.clock.run(minute);
  group.hookLagMs = 40_000;
  failsLate(stage, silent);
  world.metadata.targetState = 'Terminated';
  group.begin('terminate');
  await world.clock.run(20 * minute);
  expect(lie.told).toBe(1);
  expect(group.hooks[1]!.ended).toBe('CONTINUE');
  await agent.stop();
});

// The metadata named another target and fell silent: a wrong answer counts after 14 minutes only.
it('a node completes its hook although its group says for five minutes that it is over, after another target', async () => {
  const stage = setStage();
  const { world, group } = stage;
  const isInHook = isInHookPhase(stage);
  let since: number | undefined;
  const isLie = () => isInHook() && world.clock.uptime() - (since ??= world.clock.uptime()) < 5 * minute;
  const { lie, host } = deceived(stage, 'Terminating:Proceed', isLie, Infinity);
  const agent = stage.agent(host);
  await world.clock.run(minute);
  group.hookLagMs = 6 * minute;
  group.hooks[1]!.heartbeatSeconds = 3600;
  world.calls.onCall = ({ verb }) => {
    if (verb !== 'readTargetState' || !isInHook()) return;
    if (world.metadata.targetState === 'InService') world.calls.fails(verb, new Unavailable('HTTP 503'));
    world.metadata.targetState = 'InService';
  };
  world.metadata.targetState = 'Terminated';
  group.begin('terminate');
  await world.clock.run(20 * minute);
  expect(lie.told).toBeGreaterThan(20);
  expect(group.hooks[1]!.ended).toBe('CONTINUE');
  await agent.stop();
});

// The group refused the request, and then said twice in a row that it ends the node. A node without
// a hook of its own believed that. Its agent ended, and the node stayed DRAINING for ever.
it('a node without a terminate hook ends itself although its group says twice that it does so', async () => {
  const stage = setStage(configOf({ autoScaling: { launchHook: 'launch', terminateHook: '' } }));
  const { calls, clock, instance } = stage.world;
  for (const verb of ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'])
    calls.fails(verb, new Refused('not authorized', { code: 'AccessDenied' }));
  const { lie, host } = deceived(stage, 'Terminating:Wait', () => calls.of('powerOff').length > 0, 2);
  const agent = stage.agent(host);
  await clock.run(minute);
  stage.fillDisk(97);
  for (let n = 0; n < 200 && lie.told === 0; n++) await clock.run(minute);
  expect(lie.told).toBeGreaterThan(0);
  calls.heals();
  await clock.run(2 * hour);
  expect(instance.state).not.toBe('running');
  await agent.stop();
});

// After its own time the node was done. The hook timed out an hour after AWS had come back.
it('a node completes its hook after Auto Scaling was silent for 40 minutes', async () => {
  const stage = setStage();
  const { world, group } = stage;
  const agent = stage.agent();
  await world.clock.run(minute);
  group.hooks[1]!.heartbeatSeconds = 7200;
  failsLate(stage, ['readMembership', 'completeHook', 'heartbeat', 'readHooks']);
  world.metadata.targetState = 'Terminated';
  group.begin('terminate');
  await world.clock.run(minute);
  expect(stage.departure().phase).toBe('hook');
  await world.clock.run(40 * minute);
  world.calls.heals();
  await world.clock.run(2 * hour);
  expect(group.hooks[1]!.ended).toBe('CONTINUE');
  await agent.stop();
});
