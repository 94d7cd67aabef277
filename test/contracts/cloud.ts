/** The contract of `Cloud`, for every implementation: in memory, over the simulator, over moto. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Refused } from '../../core/errors.ts';
import type { Cloud, LifecycleHook } from '../../core/host.ts';
import { describeConfiguration, type ConfigurationStage } from './cloud-configuration.ts';
import { someConfirmed } from '../fakes/confirmed.ts';

/**
 * One instance in an account, and the events that a test can cause there. If a stage omits an area,
 * the contract does not test the area on it.
 */
export interface CloudStage {
  cloud: Cloud;
  /** Lets some time pass. */
  pause(): Promise<void>;
  close(): Promise<void>;
  instance?: {
    protect(): Promise<void>;
    isEnding(): Promise<boolean>;
  };
  group?: {
    name: string;
    putHook(hook: LifecycleHook): Promise<void>;
    /** Begins the instance's termination, which waits for the hooks. */
    beginTermination?: () => Promise<void>;
    /** True if the group has a history of launches and terminations. */
    hasHistory: boolean;
  };
  cluster?: {
    name: string;
    /** Registers this instance as its ECS agent does. Returns its ARN. */
    register(): Promise<string>;
    /** Runs a task on this instance. Returns its ARN. */
    runTask?: () => Promise<string>;
    /** Registers the next revision of a family. Returns its ARN. */
    define(family: string, memory: number): Promise<string>;
    /** Deregisters the revision. */
    retire(definition: string): Promise<void>;
    /** Gives the cluster a capacity provider of that group. */
    provide(name: string, group: string): Promise<void>;
    /** True if ECS counts by status and by filter. */
    counts: boolean;
  };
  balancers?: {
    /** Makes a target group with this instance in it. Returns its ARN. */
    targetGroup(): Promise<string>;
    /** Makes a classic load balancer with this instance in it. Returns its name. */
    loadBalancer(): Promise<string>;
    /** True if connections drain for a while. */
    drains: boolean;
  };
  opsworks?: {
    stack: { id: string; name: string };
    layer: { id: string; shortName: string };
    /** Registers this instance, as the installer does. */
    register(): Promise<void>;
  };
  systemsManager?: {
    /** Starts the SSM agent. */
    start(): Promise<void>;
  };
  configuration?: ConfigurationStage;
  metrics?: {
    /** Returns the names of the metrics in CloudWatch. */
    names(namespace: string): Promise<string[]>;
  };
  events?: {
    /** The events that the bus `default` has taken, as a target gets them. */
    received(): Promise<{ source: string; type: string; detail: unknown }[]>;
  };
}

interface How {
  /** Puts the instance into the Auto Scaling group, in service; by default it is in no group. */
  member?: boolean;
}

export type OpenCloud = (how: How) => Promise<CloudStage>;

export type Area = Exclude<keyof CloudStage, 'cloud' | 'pause' | 'close'>;

const patient = new AbortController().signal;

/**
 * `gaps`: the differences of a third-party stand-in from AWS, by the test's title. The test is
 * skipped there, and the value is the reason.
 */
export function describeCloud(
  name: string,
  open: OpenCloud,
  areas: readonly Area[],
  gaps: Readonly<Record<string, string>> = {},
): void {
  describe(`cloud: ${name}`, () => {
    let stage: CloudStage | undefined;
    beforeEach(({ task, skip }) => skip(task.name in gaps, gaps[task.name]));
    afterEach(async () => stage?.close());
    for (const area of areas) {
      describe(`${area}`, () => {
        contracts[area](async (how = {}) => (stage = await open(how)));
      });
    }
  });
}

type Open = (how?: How) => Promise<CloudStage>;

const contracts: Record<Area, (open: Open) => void> = {
  instance: describeInstance,
  group: describeGroup,
  cluster: describeCluster,
  balancers: describeBalancers,
  opsworks: describeOpsWorks,
  systemsManager: describeSystemsManager,
  metrics: describeMetrics,
  events: describeEvents,
  configuration: describeConfiguration,
};

/** Polls until the check holds, because an implementation may need time. */
async function eventually(stage: CloudStage, check: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await check();
    } catch (error) {
      if (tries === 200) throw error;
      await stage.pause();
    }
  }
}

function describeInstance(open: Open): void {
  test('new tags leave the other tags alone, and can be set twice', async () => {
    const { cloud } = await open();
    await cloud.tagSelf({ Name: 'web 1', color: 'blue' }, patient);
    await cloud.tagSelf({ Name: 'web 2' }, patient);
    await cloud.tagSelf({ Name: 'web 2' }, patient);
    expect(await cloud.readOwnTags(patient)).toMatchObject({ Name: 'web 2', color: 'blue' });
  });

  test("a tag with AWS's own prefix is refused", async () => {
    const { cloud } = await open();
    await expect(cloud.tagSelf({ 'aws:name': 'x' }, patient)).rejects.toThrow(Refused);
  });

  test('termination protection can be read, cleared, and cleared twice', async () => {
    const { cloud, instance } = await open();
    expect(await cloud.readTerminationProtection(patient)).toBe(false);
    await instance!.protect();
    expect(await cloud.readTerminationProtection(patient)).toBe(true);
    await cloud.clearTerminationProtection(patient);
    await cloud.clearTerminationProtection(patient);
    expect(await cloud.readTerminationProtection(patient)).toBe(false);
  });

  test('a protected instance cannot terminate itself; any other can', async () => {
    const { cloud, instance } = await open();
    await instance!.protect();
    await expect(cloud.terminateSelf(someConfirmed, patient)).rejects.toMatchObject({
      name: 'Refused',
      code: 'OperationNotPermitted',
    });
    expect(await instance!.isEnding()).toBe(false);
    await cloud.clearTerminationProtection(patient);
    await cloud.terminateSelf(someConfirmed, patient);
    expect(await instance!.isEnding()).toBe(true);
  });
}

function describeGroup(open: Open): void {
  const hook = (name: string, transition: 'launch' | 'terminate'): LifecycleHook => ({
    name,
    transition,
    heartbeatSeconds: 120,
    globalSeconds: 12_000,
    defaultResult: 'ABANDON',
  });

  test('an instance outside any group has no membership, and cannot terminate through a group', async () => {
    const { cloud } = await open();
    expect(await cloud.readMembership(patient)).toBeUndefined();
    await expect(cloud.terminateInGroup(someConfirmed, patient)).rejects.toThrow(Refused);
  });

  test('a member knows its group and its state in it', async () => {
    const { cloud, group } = await open({ member: true });
    expect(await cloud.readMembership(patient)).toEqual({
      group: group!.name,
      lifecycleState: 'InService',
      protectedFromScaleIn: false,
    });
  });

  test('hooks are listed with their timeouts', async () => {
    const { cloud, group } = await open({ member: true });
    const hooks = [hook('in', 'launch'), hook('out', 'terminate')];
    for (const one of hooks) await group!.putHook(one);
    const listed = await cloud.readHooks(group!.name, patient);
    expect(listed.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual(hooks);
  });

  test('a hook that is not waiting can be neither extended nor completed', async (context) => {
    const { cloud, group } = await open({ member: true });
    if (!group!.beginTermination) return context.skip();
    await group!.putHook(hook('out', 'terminate'));
    expect(await cloud.heartbeat(group!.name, 'out', patient)).toBe(false);
    expect(await cloud.completeHook(group!.name, 'out', 'CONTINUE', patient)).toBe(false);
  });

  test('a waiting hook can be extended, and completed once', async (context) => {
    const stage = await open({ member: true });
    const { cloud, group } = stage;
    if (!group!.beginTermination) return context.skip();
    await group!.putHook(hook('out', 'terminate'));
    await group!.beginTermination();
    await eventually(stage, async () => expect(await cloud.heartbeat(group!.name, 'out', patient)).toBe(true));
    expect((await cloud.readMembership(patient))?.lifecycleState).toBe('Terminating:Wait');
    expect(await cloud.completeHook(group!.name, 'out', 'CONTINUE', patient)).toBe(true);
    expect(await cloud.completeHook(group!.name, 'out', 'CONTINUE', patient)).toBe(false);
    expect(await cloud.heartbeat(group!.name, 'out', patient)).toBe(false);
  });

  test('a member that terminates through its group leaves the group', async () => {
    const stage = await open({ member: true });
    await stage.cloud.terminateInGroup(someConfirmed, patient);
    await eventually(stage, async () => {
      const membership = await stage.cloud.readMembership(patient);
      expect(membership?.lifecycleState ?? 'Terminated').toMatch(/^Terminat/);
    });
  });

  test('an unhealthy member is replaced in time, or can at least be marked as unhealthy', async () => {
    const { cloud } = await open({ member: true });
    await expect(cloud.reportUnhealthy(someConfirmed, patient)).resolves.toBeUndefined();
  });

  test('the history goes back as far as requested', async (context) => {
    const stage = await open({ member: true });
    const { cloud, group } = stage;
    if (!group!.hasHistory) return context.skip();
    const before = Date.now() - 60_000;
    await cloud.terminateInGroup(someConfirmed, patient);
    await eventually(stage, async () => {
      const kinds = (await cloud.readActivities(group!.name, before, patient)).map(({ kind }) => kind);
      expect(kinds).toContain('terminate');
    });
    expect(await cloud.readActivities(group!.name, Date.now() + 3_600_000, patient)).toEqual([]);
  });
}

function describeCluster(open: Open): void {
  test('ECS does not know an instance whose agent has not registered', async () => {
    const { cloud, cluster } = await open();
    expect(await cloud.readContainerInstance(cluster!.name, undefined, patient)).toBeUndefined();
  });

  test('a cluster that does not exist is refused', async () => {
    const { cloud } = await open();
    await expect(cloud.readContainerInstance('nowhere', undefined, patient)).rejects.toMatchObject({
      name: 'Refused',
      code: 'ClusterNotFoundException',
    });
  });

  test('a registered instance is found without its ARN, and with it', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const found = await cloud.readContainerInstance(cluster!.name, undefined, patient);
    const nothing = { runningTasks: 0, pendingTasks: 0, queuedFor: [], others: [] };
    // moto does not model health.
    const { runtimeHealth = 'OK', ...rest } = found!;
    expect(runtimeHealth).toBe('OK');
    expect(rest).toEqual({
      arn,
      status: 'ACTIVE',
      agentConnected: true,
      ...nothing,
      registeredAt: expect.any(Number),
    });
    expect(await cloud.readContainerInstance(cluster!.name, arn, patient)).toEqual(found);
  });

  test('DRAINING and ACTIVE can each be set twice', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const status = async () => (await cloud.readContainerInstance(cluster!.name, arn, patient))?.status;
    await cloud.drain(cluster!.name, arn, patient);
    await cloud.drain(cluster!.name, arn, patient);
    expect(await status()).toBe('DRAINING');
    await cloud.activate(cluster!.name, arn, patient);
    await cloud.activate(cluster!.name, arn, patient);
    expect(await status()).toBe('ACTIVE');
  });

  test('draining a container instance that does not exist is refused', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    await expect(cloud.drain(cluster!.name, arn.replace(/.{8}$/, '00000bad'), patient)).rejects.toThrow(Refused);
  });

  // Any process can answer on the introspection port. One reported node B's record to node A, and
  // node A drained B and stopped B's task.
  test('a node neither drains nor stops what ECS does not record as its own', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const other = arn.replace(/.{8}$/, '00000bad');
    expect(await cloud.ownsContainerInstance(cluster!.name, arn, patient)).toBe(true);
    expect(await cloud.ownsContainerInstance(cluster!.name, other, patient)).toBe(false);
    for (const verb of ['drain', 'activate', 'readTasks'] as const)
      await expect(cloud[verb](cluster!.name, other, patient)).rejects.toMatchObject({ code: 'NotThisInstance' });
    await expect(cloud.queueToLeave(cluster!.name, other, 'disk', 1, patient)).rejects.toThrow(Refused);
    const task = other.replace('container-instance', 'task');
    await expect(cloud.stopTask(cluster!.name, task, 'why', patient)).rejects.toMatchObject({
      code: 'NotThisInstance',
    });
    expect(await cloud.readContainerInstance(cluster!.name, other, patient)).toMatchObject({ arn, status: 'ACTIVE' });
  });

  test('the capacity provider of a group is known by the group, once the cluster has it', async () => {
    const { cloud, cluster, group } = await open({ member: true });
    const read = (name: string) => cloud.readCapacityProvider(cluster!.name, name, patient);
    expect(await read(group!.name)).toBeUndefined();
    await cluster!.provide('nodes', group!.name);
    expect(await read(group!.name)).toBe('nodes');
    expect(await read(`${group!.name}-b`)).toBeUndefined();
  });

  test('ECS puts an instance into the capacity provider only when it registers', async () => {
    const { cloud, cluster, group } = await open({ member: true });
    const arn = await cluster!.register();
    await cluster!.provide('nodes', group!.name);
    const found = await cloud.readContainerInstance(cluster!.name, arn, patient);
    expect(found).toMatchObject({ arn });
    expect(found).not.toHaveProperty('capacityProvider');
  });

  test('a record is deregistered, and that of another instance is refused', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const other = arn.replace(/.{8}$/, '00000bad');
    await expect(cloud.deregisterContainerInstance(cluster!.name, other, patient)).rejects.toMatchObject({
      code: 'NotThisInstance',
    });
    await cloud.readContainerInstance(cluster!.name, undefined, patient);
    await cloud.deregisterContainerInstance(cluster!.name, arn, patient);
    expect(await cloud.readContainerInstance(cluster!.name, undefined, patient)).toBeUndefined();
  });

  test('a record that is gone already counts as deregistered', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    await cloud.readContainerInstance(cluster!.name, undefined, patient);
    await cloud.deregisterContainerInstance(cluster!.name, arn, patient);
    await expect(cloud.deregisterContainerInstance(cluster!.name, arn, patient)).resolves.toBeUndefined();
  });

  test('a record names its EC2 instance, and EC2 knows whether it runs', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const [record, ...others] = await cloud.readRecords(
      cluster!.name,
      [arn, arn.replace(/.{8}$/, '00000bad')],
      patient,
    );
    expect(others).toEqual([]);
    expect(record).toMatchObject({ arn, agentConnected: true });
    expect(await cloud.readRunning([record!.ec2InstanceId], patient)).toEqual([record!.ec2InstanceId]);
  });

  test('a task is listed until it has stopped', async (context) => {
    const stage = await open();
    const { cloud, cluster } = stage;
    if (!cluster!.runTask) return context.skip();
    const arn = await cluster!.register();
    expect(await cloud.readTasks(cluster!.name, arn, patient)).toEqual([]);
    const task = await cluster!.runTask();
    const [listed] = await cloud.readTasks(cluster!.name, arn, patient);
    expect(listed).toMatchObject({ arn: task, desiredStatus: 'RUNNING' });
    expect(listed?.group).toMatch(/^(family|service):/);
    await eventually(stage, async () => {
      expect((await cloud.readTasks(cluster!.name, arn, patient))[0]?.lastStatus).toBe('RUNNING');
    });
    await cloud.stopTask(cluster!.name, task, 'the node leaves', patient);
    expect((await cloud.readTasks(cluster!.name, arn, patient))[0]?.desiredStatus).toBe('STOPPED');
    await eventually(stage, async () => {
      expect(await cloud.readTasks(cluster!.name, arn, patient)).toEqual([]);
    });
  });

  test('a family means its newest ACTIVE revision; a missing definition is absent', async () => {
    const { cloud, cluster } = await open();
    expect(await cloud.readTaskDefinition('logs', patient)).toBeUndefined();
    const first = await cluster!.define('logs', 64);
    const second = await cluster!.define('logs', 64);
    expect(first).toMatch(/:task-definition\/logs:1$/);
    for (const name of ['logs', 'logs:2', second]) expect(await cloud.readTaskDefinition(name, patient)).toBe(second);
    for (const name of ['logs:1', first]) expect(await cloud.readTaskDefinition(name, patient)).toBe(first);
    for (const name of ['log', 'logs:3']) expect(await cloud.readTaskDefinition(name, patient)).toBeUndefined();
  });

  test('a family no longer means a deregistered revision', async () => {
    const { cloud, cluster } = await open();
    const first = await cluster!.define('logs', 64);
    const second = await cluster!.define('logs', 64);
    await cluster!.retire(second);
    expect(await cloud.readTaskDefinition('logs', patient)).toBe(first);
    expect(await cloud.readTaskDefinition(second, patient)).toBeUndefined();
  });

  test('a started task is listed with its definition and its startedBy', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const definition = await cluster!.define('logs', 64);
    const task = await cloud.startTask(cluster!.name, arn, definition, 'ecs-node/daemon', patient);
    const listed = await cloud.readTasks(cluster!.name, arn, patient);
    expect(listed).toMatchObject([{ arn: task, definition, startedBy: 'ecs-node/daemon', group: 'family:logs' }]);
    expect(await cloud.readStopReason(cluster!.name, task, patient)).toBeUndefined();
  });

  test('a task does not start without enough room', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const huge = await cluster!.define('huge', 9_999_999);
    const start = cloud.startTask(cluster!.name, arn, huge, 'ecs-node/daemon', patient);
    await expect(start).rejects.toMatchObject({ name: 'Refused', code: 'RESOURCE:MEMORY' });
    expect(await cloud.readTasks(cluster!.name, arn, patient)).toEqual([]);
  });

  test('a task does not start from a missing definition', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const start = cloud.startTask(cluster!.name, arn, 'nothing:1', 'ecs-node/daemon', patient);
    await expect(start).rejects.toThrow(Refused);
    expect(await cloud.readTasks(cluster!.name, arn, patient)).toEqual([]);
  });

  test('a stopped task has its reason', async () => {
    const stage = await open();
    const { cloud, cluster } = stage;
    const arn = await cluster!.register();
    const definition = await cluster!.define('logs', 64);
    const task = await cloud.startTask(cluster!.name, arn, definition, 'ecs-node/daemon', patient);
    await cloud.stopTask(cluster!.name, task, 'one is enough', patient);
    await eventually(stage, async () => {
      expect(await cloud.readStopReason(cluster!.name, task, patient)).toContain('one is enough');
    });
  });

  test('a task that ECS does not know has no reason to have stopped', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const definition = await cluster!.define('logs', 64);
    const task = await cloud.startTask(cluster!.name, arn, definition, 'ecs-node/daemon', patient);
    const nobody = task.replace(/.{8}$/, '00000bad');
    expect(await cloud.readStopReason(cluster!.name, nobody, patient)).toBeUndefined();
  });

  test('counts registered, draining and disconnected instances', async (context) => {
    const { cloud, cluster } = await open();
    if (!cluster!.counts) return context.skip();
    const arn = await cluster!.register();
    expect(await cloud.readClusterHealth(cluster!.name, patient)).toEqual({
      registered: 1,
      draining: 0,
      disconnected: 0,
      disconnectedArns: [],
    });
    await cloud.drain(cluster!.name, arn, patient);
    expect(await cloud.readClusterHealth(cluster!.name, patient)).toEqual({
      registered: 1,
      draining: 1,
      disconnected: 0,
      disconnectedArns: [],
    });
  });

  test('a cluster without services has none that is short of tasks', async () => {
    const { cloud, cluster } = await open();
    expect(await cloud.readUnsteadyServices(cluster!.name, patient)).toEqual([]);
  });

  test('an entry in the leave queue is made once, kept, and removed', async () => {
    const { cloud, cluster } = await open();
    const arn = await cluster!.register();
    const queue = async (reason = 'disk') => cloud.readLeaveQueue(cluster!.name, reason, patient);
    expect(await queue()).toEqual([]);
    await cloud.queueToLeave(cluster!.name, arn, 'disk', 1_000, patient);
    await cloud.queueToLeave(cluster!.name, arn, 'disk', 2_000, patient);
    expect(await queue()).toEqual([{ arn, since: 1_000 }]);
    expect(await queue('ecs-agent')).toEqual([]);
    await cloud.unqueue(cluster!.name, arn, 'disk', patient);
    expect(await queue()).toEqual([]);
  });
}

function describeBalancers(open: Open): void {
  const kinds = [
    ['target group', 'targetGroup', 'deregisterTarget', 'isTargetDraining', /:targetgroup\/[^/]+/, ':targetgroup/none'],
    ['load balancer', 'loadBalancer', 'deregisterFromLoadBalancer', 'isLoadBalancerDraining', /^.*$/, 'none'],
  ] as const;
  test.each(kinds)(
    'a %s deregisters the instance after its connections have drained',
    async (_, make, deregister, isDraining) => {
      const stage = await open();
      const { cloud, balancers } = stage;
      const name = await balancers![make]();
      expect(await cloud[isDraining](name, patient)).toBe(false);
      await cloud[deregister](name, patient);
      expect(await cloud[isDraining](name, patient)).toBe(balancers!.drains);
      await eventually(stage, async () => expect(await cloud[isDraining](name, patient)).toBe(false));
      await cloud[deregister](name, patient);
    },
  );

  test.each(kinds)('a %s that does not exist is refused', async (_, make, deregister, isDraining, pattern, none) => {
    const { cloud, balancers } = await open();
    const name = (await balancers![make]()).replace(pattern, none);
    await expect(cloud[deregister](name, patient)).rejects.toThrow(Refused);
    await expect(cloud[isDraining](name, patient)).rejects.toThrow(Refused);
  });
}

function describeOpsWorks(open: Open): void {
  const noSuchId = '99999999-9999-4999-8999-999999999999';

  test('a stack is found by id and by name; a missing stack is absent', async () => {
    const { cloud, opsworks } = await open();
    const { stack } = opsworks!;
    expect(await cloud.readStack(stack.id, patient)).toMatchObject(stack);
    expect(await cloud.readStack(stack.name, patient)).toMatchObject(stack);
    expect(await cloud.readStack(noSuchId, patient)).toBeUndefined();
    expect(await cloud.readStack('no such stack', patient)).toBeUndefined();
  });

  test('a layer is found by id and by short name; a missing layer is absent', async () => {
    const { cloud, opsworks } = await open();
    const { stack, layer } = opsworks!;
    expect(await cloud.readLayer(stack.id, layer.id, patient)).toEqual({ ...layer, stackId: stack.id });
    expect(await cloud.readLayer(stack.id, layer.shortName, patient)).toEqual({ ...layer, stackId: stack.id });
    expect(await cloud.readLayer(stack.id, noSuchId, patient)).toBeUndefined();
    expect(await cloud.readLayer(stack.id, 'nothing', patient)).toBeUndefined();
  });

  test('a stack names its installer, a layer suggests a hostname', async () => {
    const { cloud, opsworks } = await open();
    const { installerUrl, parameters } = await cloud.readProvisioning(opsworks!.stack.id, patient);
    expect(installerUrl).toMatch(/^https?:/);
    expect(parameters['assets_download_bucket']).toBeTypeOf('string');
    expect(await cloud.suggestHostname(opsworks!.layer.id, patient)).toMatch(/^[a-z0-9-]+$/);
    await expect(cloud.readProvisioning(noSuchId, patient)).rejects.toMatchObject({
      code: 'ResourceNotFoundException',
    });
    await expect(cloud.suggestHostname(noSuchId, patient)).rejects.toMatchObject({ code: 'ResourceNotFoundException' });
  });

  test('a node that has not registered has no record', async () => {
    const { cloud, opsworks } = await open();
    expect(await cloud.findRegistration(opsworks!.stack.id, patient)).toBeUndefined();
    expect(await cloud.readRegistration(noSuchId, patient)).toBeUndefined();
  });

  test('a node registers, is assigned, is set up, deregisters, and leaves no record', async () => {
    const stage = await open();
    const { cloud, opsworks } = stage;
    const { stack, layer } = opsworks!;
    await opsworks!.register();
    let id = '';
    await eventually(stage, async () => {
      const found = await cloud.findRegistration(stack.id, patient);
      expect(found).toMatchObject({ status: 'registered', layerIds: [] });
      id = found!.id;
    });
    const status = async () => (await cloud.readRegistration(id, patient))?.status;
    await cloud.assign(id, layer.id, patient);
    await eventually(stage, async () => expect(await status()).toBe('online'));
    expect(await cloud.readRegistration(id, patient)).toMatchObject({ id, layerIds: [layer.id] });
    await cloud.unassign(id, patient);
    await eventually(stage, async () => expect(await status()).toBe('registered'));
    await cloud.deregister(id, patient);
    await eventually(stage, async () => expect(await status()).toBeUndefined());
    await expect(cloud.deregister(id, patient)).rejects.toMatchObject({ code: 'ResourceNotFoundException' });
  });
}

function describeSystemsManager(open: Open): void {
  test('an instance is unknown until its agent comes up, then online', async () => {
    const stage = await open();
    expect(await stage.cloud.readPing(patient)).toBeUndefined();
    await stage.systemsManager!.start();
    await eventually(stage, async () => expect(await stage.cloud.readPing(patient)).toBe('Online'));
  });
}

function describeEvents(open: Open): void {
  test('an event arrives at the targets of its bus', async () => {
    const stage = await open();
    const detail = { version: 1, cluster: 'demo', cause: 'disk', reason: 'full: “/” 97 %' };
    await stage.cloud.putEvent('default', { type: 'left', at: Date.now(), detail }, patient);
    await eventually(stage, async () => {
      expect(await stage.events!.received()).toEqual([{ source: 'ecs-node', type: 'left', detail }]);
    });
  });

  test('an event that is too large is refused', async () => {
    const stage = await open();
    const detail = { text: 'x'.repeat(300_000) };
    await expect(stage.cloud.putEvent('default', { type: 'left', at: 0, detail }, patient)).rejects.toBeInstanceOf(
      Error,
    );
    expect(await stage.events!.received()).toEqual([]);
  });
}

function describeMetrics(open: Open): void {
  test('published metrics arrive', async () => {
    const stage = await open();
    const metric = {
      unit: 'Percent',
      value: 12.5,
      at: Date.now(),
      dimensions: { MountPath: '/', Filesystem: '/dev/x' },
    } as const;
    await stage.cloud.publish(
      'System/Linux',
      [
        { ...metric, name: 'DiskSpaceUtilization' },
        { ...metric, name: 'InodeUtilization' },
      ],
      patient,
    );
    await eventually(stage, async () => {
      const names = await stage.metrics!.names('System/Linux');
      expect(names.toSorted()).toEqual(['DiskSpaceUtilization', 'InodeUtilization']);
    });
  });
}
