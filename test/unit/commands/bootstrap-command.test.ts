import { expect, test, vi } from 'vitest';
import { runBootstrap } from '../../../commands/node/bootstrap-command.ts';
import { mayTerminate } from '../../../commands/node/join-failure.ts';
import { ConfigError, exitCode, Refused, StepError, Unavailable } from '../../../core/errors.ts';
import type { ScalingActivity } from '../../../core/host.ts';
import { paths, renderState, type BootstrapState, type DepartureState } from '../../../core/state/state.ts';
import { opsworksConfig, plainConfig, signal, stackId } from '../bootstrap/stage.ts';
import { someHook } from '../../fakes/cloud/group.ts';
import { openFakeHost, type World } from '../../fakes/host.ts';
import type { Config } from '../../../config/config.ts';

const refused = new Refused('OpsWorks says no', { code: 'ValidationException' });

function open(config: Config = opsworksConfig(), inGroup = true) {
  const { host, world, clock } = openFakeHost();
  if (inGroup) world.joinGroup();
  return {
    host,
    world,
    clock,
    live: (on = host) => clock.finish(runBootstrap(on, config, signal)),
    fails: (on = host) =>
      clock.finish(runBootstrap(on, config, signal)).then(
        () => {
          throw new Error('it should have failed');
        },
        (error: unknown) => error,
      ),
  };
}

const read = <T>(world: World, path: string) => JSON.parse(String(world.machine.files.get(path) ?? 'null')) as T | null;
const ends = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'];
const deaths = (world: World) => world.calls.verbs().filter((verb) => ends.includes(verb));

test('a node that bootstraps stays', async () => {
  const { live, world } = open();
  await live();
  expect(deaths(world)).toEqual([]);
  expect(read<BootstrapState>(world, paths.bootstrap)?.outcome).toBe('done');
  expect(read(world, paths.departure)).toBeNull();
});

test('a final refusal of the registrar ends the node, and leaves no record behind', async () => {
  const { fails, world } = open();
  world.calls.fails('assign', refused, 99);
  const error = await fails();
  expect(error).toBeInstanceOf(StepError);
  expect(exitCode(error)).toBe(77);
  expect(deaths(world)).toEqual(['terminateInGroup']);
  const verbs = world.calls.verbs('cloud');
  expect(verbs.indexOf('deregister')).toBeGreaterThan(-1);
  expect(verbs.indexOf('deregister')).toBeLessThan(verbs.indexOf('terminateInGroup'));
  expect(read<DepartureState>(world, paths.departure)).toMatchObject({
    cause: 'bootstrap-failed',
    reason: expect.stringContaining('OpsWorks says no'),
  });
});

// Seed 820006222: OpsWorks showed an older state while the time ran out, and the node ended itself.
test.each([
  ['stays when its registration is there a minute later', 300_000, [], 'done'],
  ['leaves when it is still missing a minute later', Infinity, ['terminateInGroup'], 'failed'],
])('a node whose time to register is up %s', async (_, setupTakesMs, expected, outcome) => {
  const { live, world } = open(
    opsworksConfig({
      opsworks: { stack: stackId, layer: 'ecs', waitForOnline: true },
      registration: { required: true },
      bootstrap: { timeoutSeconds: 300 },
    }),
  );
  Object.assign(world.opsworks, { registersAfterMs: 30_000, setupTakesMs });
  await live().catch(() => undefined);
  expect(deaths(world)).toEqual(expected);
  expect(read<BootstrapState>(world, paths.bootstrap)?.outcome).toBe(outcome);
});

// A late attempt of 10 s saw two answers 4.5 s apart, which proved nothing: it tried for ever.
test.each([0, 0.5, 0.999])('a node with the shortest time to register leaves, with the jitter %d', async (random) => {
  const { live, world } = open(opsworksConfig({ bootstrap: { timeoutSeconds: 30 } }));
  Object.assign(world.opsworks, { installerTakesMs: 1_000, registersAfterMs: Infinity });
  const jitter = vi.spyOn(Math, 'random').mockReturnValue(random);
  const ended = await live().then(
    () => 'done',
    (error: Error) => error.message,
  );
  jitter.mockRestore();
  expect(deaths(world), String(ended)).toEqual(['terminateInGroup']);
});

test('the instance names in a tag why it left', async () => {
  const { fails, world } = open();
  world.calls.fails('assign', refused, 99);
  await fails();
  expect(world.instance.tags['ecs-node:left']).toMatch(/OpsWorks says no/);
});

test.each([
  ['AWS that stays silent', new Unavailable('throttled'), 75],
  ['a bug of ours', new TypeError('undefined is not a function'), 70],
  ['a configuration error', new ConfigError([{ path: 'cluster', problem: 'bad' }]), 78],
])('%s never ends a node', async (_, error, code) => {
  const { fails, world } = open();
  world.calls.fails('assign', error, 9999);
  expect(exitCode(await fails())).toBe(code);
  expect(deaths(world)).toEqual([]);
  expect(read(world, paths.departure)).toBeNull();
});

// Each node that met a missing permission, a tag policy or a deleted layer ended itself, and so did
// the next one.
test.each(['AccessDeniedException', 'ResourceNotFoundException', 'TagPolicyViolation'])(
  'a fault that a person has to fix (%s) keeps the node, is reported, and is retried slowly until it works',
  async (code) => {
    const { host, world, clock } = open();
    world.calls.fails('assign', new Refused('no', { code }));
    const living = runBootstrap(host, opsworksConfig(), signal);
    await clock.run(6 * 3_600_000);
    expect(deaths(world)).toEqual([]);
    expect(world.machine.console.join()).toContain('a person has to act: assign: no');
    // Pauses have jitter, so the node may be in the middle of a try just now.
    const stored = () => read<BootstrapState>(world, paths.bootstrap);
    for (let minutes = 0; minutes < 10 && stored()?.outcome === 'running'; minutes++) await clock.run(60_000);
    expect(stored()).toMatchObject({ outcome: 'failed', retryAt: expect.any(Number) });
    // With the shortest pauses that the jitter allows, it is 245.
    expect(world.calls.of('assign').length).toBeLessThan(250);
    world.calls.heals();
    await clock.finish(living);
    expect(read<BootstrapState>(world, paths.bootstrap)?.outcome).toBe('done');
  },
);

// The bootstrap ended for good with exit code 77, and the launch hook timed out under the node.
test('a failed node that a person holds for an hour stays, keeps its hook alive, and leaves afterwards', async () => {
  const { fails, world, clock } = open();
  world.group!.hooks.push(someHook('ecs-node-launch', 'launch', { heartbeatSeconds: 600 }));
  world.group!.begin('launch');
  world.calls.fails('assign', refused);
  world.instance.tags['ecs-node:keep'] = '';
  let early: string | undefined;
  clock.schedule(3_600_000, () => {
    early = world.group!.lifecycleState;
    delete world.instance.tags['ecs-node:keep'];
  });
  await fails();
  expect(early).toBe('Pending:Wait');
  expect(world.machine.console.join()).toContain('the instance has the tag ecs-node:keep; tries again in');
  expect(world.instance.state).toBe('shutting-down');
});

const requiresSystemsManager = () => plainConfig({ registrar: 'ssm', registration: { required: true } });

// The end of the node was denied, nobody set ACTIVE again, and its tasks moved away for good.
test.each([
  ['kept by a tag, after a reboot', true],
  ['connected, where a person runs the bootstrap by hand', false],
])('a node in service whose failed bootstrap may not end it is not drained: %s', async (_, isKept) => {
  const { world, clock, live } = open(requiresSystemsManager());
  const own = world.joinCluster();
  own.agentConnected = !isKept;
  if (isKept) world.instance.tags['ecs-node:keep'] = '';
  clock.schedule(1_800_000, () => void (world.systemsManager.ping = 'Online'));
  await live();
  expect(world.machine.console.join()).toContain('the node stays');
  expect(world.calls.verbs('cloud')).not.toContain('drain');
  expect(own.status).toBe('ACTIVE');
});

// The failure was denied only when the node was about to end itself.
test('a node in service that a failed bootstrap drained is ACTIVE again once its end is denied', async () => {
  const { world, clock, live } = open(requiresSystemsManager());
  const own = world.joinCluster();
  own.agentConnected = false;
  world.group!.lifecycleState = 'Pending:Wait';
  world.calls.onCall = ({ verb }) => {
    if (verb === 'drain') world.group!.lifecycleState = 'InService';
  };
  world.calls.fails('activate', new Unavailable('throttled'), 20);
  clock.schedule(1_800_000, () => void (world.systemsManager.ping = 'Online'));
  await live();
  expect(world.calls.verbs('cloud')).toContain('drain');
  expect(own.status).toBe('ACTIVE');
  expect(read(world, paths.departure)).toBeNull();
});

test('failed nodes stay when the operator wants to inspect them', async () => {
  const { fails, world } = open(opsworksConfig({ bootstrap: { onFailure: 'keep' } }));
  world.calls.fails('assign', refused, 99);
  expect(exitCode(await fails())).toBe(77);
  expect(deaths(world)).toEqual([]);
});

/** OpsWorks refuses the assignment for as long as it takes to believe it, and a little longer. */
function refusesForAWhile({ calls }: World): void {
  calls.fails('assign', refused, 24);
}

/** So many nodes of the group died within minutes of their launch. */
function youngDeaths(count: number, now: number, livedMs = 60_000): ScalingActivity[] {
  return Array.from({ length: count }, (_, index) => index).flatMap((index): ScalingActivity[] => {
    const instanceId = `i-${String(index).padStart(17, '0')}`;
    const at = now - 900_000 + index;
    return [
      { kind: 'launch', instanceId, at, succeeded: true },
      { kind: 'terminate', instanceId, at: at + livedMs, succeeded: true },
    ];
  });
}

test('when nodes of the group fail one after another, a node waits and retries instead of terminating', async () => {
  const { live, world, clock, host } = open();
  world.group!.activities.push(...youngDeaths(3, clock.now()));
  refusesForAWhile(world);
  const before = clock.uptime();
  await live();
  expect(deaths(world)).toEqual([]);
  expect(clock.uptime() - before).toBeGreaterThan(150_000);
  expect(world.published.flatMap(({ metrics }) => metrics.map(({ name }) => name))).toContain('BootstrapHeld');
  expect(read<BootstrapState>(world, paths.bootstrap)?.outcome).toBe('done');
  expect(host.identity.instanceId).toBe(read<BootstrapState>(world, paths.bootstrap)?.instanceId);
});

test('a node that waits for others says that its metric is not published, and waits all the same', async () => {
  const { live, world, clock } = open();
  world.group!.activities.push(...youngDeaths(3, clock.now()));
  world.calls.fails('publish', new Refused('not authorized', { code: 'AccessDenied' }));
  refusesForAWhile(world);
  await live();
  expect(deaths(world)).toEqual([]);
  expect(world.log).toContainEqual(
    expect.objectContaining({ message: 'metric not published', fields: { error: 'not authorized' } }),
  );
});

// The second attempt is short, and nodes of the group had failed after longer attempts.
test('a node whose time to register is up twice waits where others failed before', async () => {
  const { live, world, clock } = open(
    opsworksConfig({
      opsworks: { stack: stackId, layer: 'ecs', waitForOnline: true },
      registration: { required: true },
      join: { timeoutSeconds: 30 },
      bootstrap: { timeoutSeconds: 300 },
    }),
  );
  world.group!.activities.push(...youngDeaths(3, clock.now(), 800_000));
  Object.assign(world.opsworks, { registersAfterMs: 30_000, setupTakesMs: 600_000 });
  await live();
  expect(deaths(world)).toEqual([]);
  expect(read<BootstrapState>(world, paths.bootstrap)?.outcome).toBe('done');
});

test('an unreadable history of the group makes a node wait, and never terminate', async () => {
  const { world, host, clock } = open();
  world.calls.fails('assign', refused, 99_999);
  world.calls.fails('readActivities', new Unavailable('throttled'), 99_999);
  const stop = new AbortController();
  const living = runBootstrap(host, opsworksConfig(), stop.signal).catch((error: unknown) => error);
  await clock.run(4 * 3_600_000);
  expect(deaths(world)).toEqual([]);
  stop.abort(new Error('enough'));
  await clock.finish(living);
});

test('the launch hook does not time out while the node waits', async () => {
  const config = opsworksConfig({ autoScaling: { launchHook: 'launch' } });
  const { live, world, clock } = open(config);
  world.group!.hooks.push(someHook('launch', 'launch', { heartbeatSeconds: 120 }));
  world.group!.activities.push(...youngDeaths(3, clock.now()));
  refusesForAWhile(world);
  await live();
  const beats = world.calls.of('heartbeat').map(({ at }) => at);
  expect(beats.length).toBeGreaterThan(3);
  for (const [index, at] of beats.slice(1).entries()) expect(at - beats[index]!).toBeLessThanOrEqual(60_000);
});

// Each write failed with exit code 75 after a second, and systemd started the next run 10 s later:
// none sent a heartbeat, and the launch hook ended the node.
test.each([
  ['for a person', 'full', 'waits for a person'],
  ['for other nodes', 'full', 'held by the storm guard'],
  ['for a person', 'sound', 'waits for a person'],
  ['for other nodes', 'sound', 'held by the storm guard'],
])('a node that waits %s on a %s disk keeps its launch hook alive', async (who, disk, words) => {
  const config = opsworksConfig({ autoScaling: { launchHook: 'launch' } });
  const { world, host, clock } = open(config);
  world.group!.hooks.push(someHook('launch', 'launch', { heartbeatSeconds: 120 }));
  world.group!.begin('launch');
  if (who === 'for other nodes') {
    world.calls.fails('readActivities', new Unavailable('throttled'), 9999);
    world.calls.fails('assign', refused, 9999);
  } else world.calls.fails('assign', new Refused('no', { code: 'AccessDeniedException' }));
  const stop = new AbortController();
  let ended: unknown = 'waits';
  const living = runBootstrap(host, config, stop.signal).catch((error: unknown) => void (ended = error));
  world.calls.onCall = ({ verb, args }) => {
    if (disk === 'full' && verb === 'writeText' && args[0] === paths.bootstrap && world.calls.of('assign').length > 0)
      throw new Unavailable(`${paths.bootstrap}: ENOSPC`);
  };
  await clock.run(2 * 3_600_000);
  expect(ended).toBe('waits');
  expect(world.log.map(({ message }) => message)).toContain(words);
  expect(world.group!.lifecycleState).toBe('Pending:Wait');
  world.calls.onCall = undefined;
  stop.abort(new Error('enough'));
  await clock.finish(living);
});

test('the shortest launch hook does not time out in a bootstrap that takes longer', async () => {
  const { live, world, clock } = open(opsworksConfig({ autoScaling: { launchHook: 'launch' } }));
  world.group!.hooks.push(someHook('launch', 'launch', { heartbeatSeconds: 30 }));
  world.calls.delays('readTerminationProtection', 25_000);
  const before = clock.uptime();
  await live();
  const beats = world.calls.of('heartbeat').map(({ at }) => at);
  // Two thirds: the machine has booted in the rest.
  for (const [index, at] of beats.entries()) expect(at - (beats[index - 1] ?? before)).toBeLessThanOrEqual(20_000);
  expect(beats.length).toBeGreaterThan(0);
});

test('a bootstrap of seconds sends no heartbeats', async () => {
  const config = plainConfig({ autoScaling: { launchHook: 'launch' }, terminationProtection: 'clear' });
  const { live, world, clock } = open(config);
  world.group!.hooks.push(someHook('launch', 'launch'));
  world.calls.delays('readTerminationProtection', 8_000);
  const before = clock.uptime();
  await live();
  expect(clock.uptime() - before).toBeGreaterThanOrEqual(8_000);
  expect(world.calls.of('heartbeat')).toEqual([]);
  expect(world.calls.of('readHooks')).toEqual([]);
});

test('a node that was killed while it left continues leaving, and does not bootstrap again', async () => {
  const { world, clock, host } = open();
  world.calls.fails('assign', refused, 99);
  world.calls.onCall = ({ verb }) => {
    if (verb === 'deregister') world.calls.crashAt(1, 'before');
  };
  void runBootstrap(host, opsworksConfig(), signal).catch(() => {});
  await clock.run(1_200_000);
  world.calls.onCall = undefined;
  expect(deaths(world)).toEqual([]);
  const already = world.calls.list.length;
  const error = await clock.finish(
    runBootstrap(world.restart(), opsworksConfig(), signal).catch((thrown: unknown) => thrown),
  );
  expect(exitCode(error)).toBe(77);
  expect(deaths(world)).toEqual(['terminateInGroup']);
  expect(world.calls.list.slice(already).map(({ verb }) => verb)).not.toContain('assign');
});

// Its launch hook timed out while the shutdown recipes ran: the group ended it, and its record
// stayed behind.
test('a node that continues leaving after a crash keeps its launch hook alive for as long as OpsWorks takes', async () => {
  const config = opsworksConfig({ autoScaling: { launchHook: 'launch' } });
  const { fails, world, host } = open(config);
  world.group!.hooks = [someHook('launch', 'launch', { heartbeatSeconds: 60 })];
  world.group!.begin('launch');
  world.opsworks.unassignTakesMs = 200_000;
  const { instanceId } = host.identity;
  const record = { id: 'record-1', stackId: 'stack', hostname: 'a', status: 'online', layerIds: ['layer'] };
  world.opsworks.records.push({ ...record, ec2InstanceId: instanceId });
  const bootstrapped: BootstrapState = {
    instanceId,
    startedAt: 0,
    attempts: 1,
    outcome: 'failed',
    steps: [],
    registered: { registrar: 'opsworks', id: record.id },
  };
  const departure: DepartureState = {
    instanceId,
    cause: 'bootstrap-failed',
    reason: 'OpsWorks says no',
    startedAt: 0,
    deadline: 8.64e15,
    ending: 'terminate',
    phase: 'registrar',
    entered: {},
    blockers: [],
    troubles: [],
  };
  world.machine.files.set(paths.bootstrap, renderState(bootstrapped));
  world.machine.files.set(paths.departure, renderState(departure));
  expect(exitCode(await fails())).toBe(77);
  expect(world.group!.hooks[0]!.ended).toBe('ABANDON');
  expect(world.opsworks.records.filter(({ status }) => status !== 'deregistering')).toEqual([]);
});

// EIO hid departure.json once, or for some seconds, and a new record stayed behind.
test.each([
  ['at once', 0],
  ['at the second try', 1],
  ['after a minute', 60_000],
])('a node that left its registrar for another cause does not register again: it reads that %s', async (_, ms) => {
  const { live, world, host } = open();
  const departure: DepartureState = {
    instanceId: host.identity.instanceId,
    cause: 'scale-in',
    reason: 'the group shrinks',
    startedAt: 0,
    deadline: 8.64e15,
    ending: 'await',
    phase: 'hook',
    entered: {},
    blockers: [],
    troubles: [],
  };
  world.machine.files.set(paths.departure, renderState(departure));
  hideDeparture(world, ms);
  await live();
  expect(world.calls.verbs('cloud')).not.toContain('assign');
  expect(read(world, paths.bootstrap)).toBeNull();
});

// The disk may have lost the place of that file for good.
test('a departure that is never read does not prevent the bootstrap', async () => {
  const { live, world } = open();
  hideDeparture(world, Infinity);
  await live();
  expect(read<BootstrapState>(world, paths.bootstrap)?.outcome).toBe('done');
});

/** The disk refuses to read departure.json for `ms`. */
function hideDeparture({ calls, clock }: World, ms: number) {
  const until = clock.uptime() + ms;
  calls.onCall = ({ verb, args }) => {
    if (verb === 'readText' && args[0] === paths.departure && clock.uptime() < until) throw new Unavailable('EIO');
  };
}

// Somebody else's hook still held it when it lost its power: it registered anew, and that record
// stayed behind.
test.each([
  ['bootstrap-failed', 'Terminating:Wait', 77],
  ['disk', 'Terminating:Wait', 0],
  ['disk', 'InService', 0],
] as const)(
  'a node that has left for %s, and is %s, registers only when no group terminates it',
  async (cause, state, code) => {
    const { world, host, clock } = open();
    world.group!.lifecycleState = state;
    const departure: DepartureState = {
      instanceId: host.identity.instanceId,
      cause,
      reason: 'it was time',
      startedAt: 0,
      deadline: 0,
      ending: 'terminate',
      phase: 'done',
      entered: {},
      blockers: [],
      troubles: [],
    };
    world.machine.files.set(paths.departure, renderState(departure));
    const ended = runBootstrap(host, opsworksConfig(), signal).then(() => 0, exitCode);
    expect(await clock.finish(ended)).toBe(code);
    expect(world.calls.verbs('cloud').includes('assign')).toBe(state === 'InService');
  },
);

test.each([
  ['was called off', { undoneAt: 5 }],
  ['only drained it', { ending: 'remain' as const }],
  ['ends with its return', { returns: true as const }],
  ['has not left the registrar yet', { phase: 'tasks' as const }],
])('a departure that %s does not prevent the bootstrap', async (_, change) => {
  const { live, world, host } = open();
  const departure = {
    instanceId: host.identity.instanceId,
    cause: 'scale-in',
    reason: '',
    startedAt: 0,
    deadline: 0,
    ending: 'await',
    phase: 'hook',
    entered: {},
    blockers: [],
    troubles: [],
    ...change,
  };
  world.machine.files.set(paths.departure, renderState(departure));
  await live();
  expect(read<BootstrapState>(world, paths.bootstrap)?.outcome).toBe('done');
});

test('a shutdown in the middle decides nothing, and the next boot continues', async () => {
  const { world, clock, host } = open();
  const stop = new AbortController();
  world.calls.hangs('assign');
  const living = runBootstrap(host, opsworksConfig(), stop.signal).catch((error: unknown) => error);
  await clock.run(60_000);
  const reason = new Error('stopped by SIGTERM');
  stop.abort(reason);
  expect(await clock.finish(living)).toBe(reason);
  expect(deaths(world)).toEqual([]);
  expect(world.log.map(({ message }) => message)).not.toContain('bootstrap failed');
  expect(read(world, paths.departure)).toBeNull();
});

test('a node that cannot join asks the storm guard, waits out a storm, and is not left marked as held', async () => {
  const { live, world, clock, host } = open(plainConfig());
  await live();
  expect(await clock.finish(mayTerminate(host, plainConfig(), signal))).toBe(true);
  world.group!.activities.push(...youngDeaths(3, clock.now()));
  expect(await clock.finish(mayTerminate(host, plainConfig(), signal))).toBe(false);
  expect(read<BootstrapState>(world, paths.bootstrap)).toMatchObject({ outcome: 'done' });
  expect(read<BootstrapState>(world, paths.bootstrap)).not.toHaveProperty('heldUntil');
});
