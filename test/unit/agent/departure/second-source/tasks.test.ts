import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../../core/errors.ts';
import type { Host } from '../../../../../core/host.ts';
import { paths } from '../../../../../core/state/state.ts';
import { configOf, setStage } from '../../stage.ts';
import { minute } from './in-service.ts';

/** A container that the image's own unit starts. Its name alone looks like that of a task. */
const sidecar = { name: 'ecs-exporter', imageId: 'exporter', state: 'running' };

describe('tasks', () => {
  const scaleIn = { cause: 'scale-in', reason: 'scale-in', key: 'target:Terminated', ending: 'await' } as const;

  // A batch task with stopTimeout 600 needs 300 s to stop. The hook was completed 150 s after
  // StopTask.
  it('have their own stop timeout, also after the planned time', async () => {
    for (const stopsAfterMs of [300_000, 1_500_000]) {
      const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
      const task = stage.world.cluster.addTask(stage.own.arn, {
        group: 'family:batch',
        stopsAfterMs,
        stopTimeoutMs: 1_800_000,
      });
      stage.group.begin('terminate');
      let statusThen = '';
      stage.world.calls.onCall = ({ verb }) => {
        if (verb === 'completeHook') statusThen ||= task.lastStatus;
      };
      await stage.leaves(scaleIn);
      expect(statusThen).toBe('STOPPED');
    }
  });

  it("have the ECS agent's timeout where they set none", async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
    stage.world.machine.files.set(paths.ecsConfig, 'ECS_CLUSTER=demo\nECS_CONTAINER_STOP_TIMEOUT=20m\n');
    const task = stage.world.cluster.addTask(stage.own.arn, {
      group: 'family:batch',
      stopsAfterMs: 1_100_000,
      stopTimeoutMs: undefined,
    } as object);
    Object.assign(task, { stopTimeoutMs: undefined });
    stage.world.calls.onCall = ({ verb }) => {
      if (verb === 'stopTask') task.stopTimeoutMs = 1_200_000;
    };
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(task.lastStatus).toBe('STOPPED');
  });

  it('are named and waited for until the deadline of the departure while ECS protects them', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
    stage.world.cluster.addTask(stage.own.arn, { protected: true, stopsAfterMs: Infinity });
    stage.group.begin('terminate');
    const began = stage.host.clock.uptime();
    const done = stage.leaves(scaleIn);
    await stage.world.clock.run(2 * minute);
    expect(stage.departure().blockers.join()).toContain('(protected)');
    await done;
    const [stopped] = stage.world.calls.of('stopTask');
    expect(stopped!.at - began).toBeGreaterThan(500_000);
    expect(stopped!.at - began).toBeLessThan(610_000);
  });

  it('are waited for where only the ECS agent tells of them, and does not name one', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
    const { cluster, calls, clock } = stage.world;
    calls.fails('cloud.readTasks', new Refused('no', { code: 'AccessDeniedException' }), 999);
    cluster.addTask(stage.own.arn, { stopsAfterMs: 10_000 });
    const unnamed = cluster.addTask(stage.own.arn, { stopsAfterMs: Infinity, unnamed: true });
    stage.group.begin('terminate');
    const done = stage.leaves(scaleIn);
    await clock.run(2 * minute);
    expect(stage.departure()).toMatchObject({
      phase: 'tasks',
      blockers: [expect.stringContaining('without an ARN RUNNING')],
    });
    unnamed.lastStatus = 'STOPPED';
    await clock.run(minute);
    expect(stage.departure()).toMatchObject({ phase: 'done', blockers: [] });
    await done;
  });

  it.each([
    ['one empty list of ECS, while the ECS agent is silent', { agentDown: true, denied: false, group: 'service:web' }],
    [
      'one empty list of the ECS agent, where ECS refuses its',
      { agentDown: false, denied: true, group: 'service:web' },
    ],
    ['many empty lists, while their record counts one', { agentDown: true, denied: false, group: 'family:batch' }],
  ])('are waited for after %s', async (_, { agentDown, denied, group }) => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    const { host, world, own } = stage;
    const task = world.cluster.addTask(own.arn, { group, stopsAfterMs: 20 * minute });
    const wrong = group === 'service:web' ? 1 : 30;
    let lies = 0;
    world.clock.schedule(minute, () => void (lies = wrong));
    world.clock.schedule(20 * minute, () => void (task.lastStatus = 'STOPPED'));
    const lying: Host = {
      ...host,
      cloud: {
        ...host.cloud,
        async readTasks(...args) {
          if (denied) throw new Refused('no', { code: 'AccessDeniedException' });
          return lies-- > 0 ? [] : host.cloud.readTasks(...args);
        },
      },
      ecsAgent: {
        readAgent: async (each) => (agentDown ? undefined : host.ecsAgent.readAgent(each)),
        readTasks: async (each) => (agentDown ? undefined : lies-- > 0 ? [] : host.ecsAgent.readTasks(each)),
      },
    };
    let statusThen = '';
    world.calls.onCall = ({ verb }) => {
      if (verb === 'completeHook') statusThen ||= task.lastStatus;
    };
    stage.group.begin('terminate');
    await stage.leaves(scaleIn, lying);
    expect(statusThen).toBe('STOPPED');
    expect(lies).toBeLessThanOrEqual(0);
  });

  // The time without an answer counted, so the first answer after it ended the wait.
  it.each([0, 10_000])(
    'are waited for after one answer, once the node is drained and ECS was silent for %i ms, that ECS does not know the node',
    async (silentMs) => {
      const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
      const { host, world, own } = stage;
      const task = world.cluster.addTask(own.arn, { group: 'service:web', stopsAfterMs: 20 * minute });
      let [lies, silentUntil] = [0, 0];
      let statusThen = '';
      world.calls.onCall = ({ verb }) => {
        // The first answer is for the search for further records.
        if (verb === 'drain') [lies, silentUntil] = [2, 0];
        if (verb === 'completeHook') statusThen ||= task.lastStatus;
      };
      const lying: Host = {
        ...host,
        cloud: {
          ...host.cloud,
          async readContainerInstance(...args) {
            if (world.clock.uptime() < silentUntil) throw new Unavailable('silent');
            if (lies-- <= 0) return host.cloud.readContainerInstance(...args);
            if (lies === 1) silentUntil = world.clock.uptime() + silentMs;
            return undefined;
          },
        },
        ecsAgent: { readAgent: async () => undefined, readTasks: async () => undefined },
      };
      stage.group.begin('terminate');
      await stage.leaves(scaleIn, lying);
      expect(statusThen).toBe('STOPPED');
    },
  );

  // The node went to its end at once, never DRAINING.
  it.each([
    ['some seconds, and neither Docker nor the port answers', 20_000, 'nothing', /^$/],
    ['minutes, while Docker runs a container of a task', 5 * minute, 'docker', /^record: ECS knows none, but Docker/],
    ['minutes, while the port names the record', 5 * minute, 'port', /^record: ECS knows none, but the ECS agent/],
  ])('are waited for, and the node is drained, when ECS lists no record for %s', async (_, emptyMs, other, told) => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    const { world, own } = stage;
    const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    if (other !== 'port') world.localAgent = undefined;
    if (other === 'nothing') world.calls.fails('readContainers', new Unavailable('silent'));
    if (other === 'docker') world.docker.containers.push({ ...sidecar, taskArn: task.arn });
    const id = own.ec2InstanceId;
    own.ec2InstanceId = 'i-0hidden';
    world.clock.schedule(emptyMs, () => void (own.ec2InstanceId = id));
    world.clock.schedule(20 * minute, () => void (task.lastStatus = 'STOPPED'));
    let then = '';
    world.calls.onCall = ({ verb }) => {
      if (verb === 'completeHook') then ||= `${task.lastStatus} ${own.status}`;
    };
    stage.group.begin('terminate');
    const done = stage.leaves(scaleIn);
    await world.clock.run(10_000);
    expect(stage.departure().blockers.join()).toMatch(told);
    await done;
    expect(then).toBe('STOPPED DRAINING');
  });

  // After 30 s of silence, the node went on to its end.
  it.each([
    ['is silent', new Unavailable('503')],
    ['refuses, while Docker runs a container of a task', new Refused('no', { code: 'AccessDeniedException' })],
  ])('are waited for when ECS %s for minutes after DRAINING, and the port is closed', async (_, failure) => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    const { world, own } = stage;
    const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    world.localAgent = undefined;
    if (failure instanceof Refused) world.docker.containers.push({ ...sidecar, taskArn: task.arn });
    world.clock.schedule(5 * minute, () => world.calls.heals());
    world.clock.schedule(20 * minute, () => void (task.lastStatus = 'STOPPED'));
    let then = '';
    world.calls.onCall = ({ verb }) => {
      if (verb === 'drain') for (const each of ['readContainerInstance', 'readTasks']) world.calls.fails(each, failure);
      if (verb === 'completeHook') then ||= `${task.lastStatus} ${own.status}`;
    };
    stage.group.begin('terminate');
    const done = stage.leaves(scaleIn);
    await world.clock.run(2 * minute);
    expect(stage.departure()).toMatchObject({ phase: 'tasks', blockers: [`record: ${failure.message}`] });
    await done;
    expect(then).toBe('STOPPED DRAINING');
  });

  // The node ended undrained after seconds, and ECS placed tasks on it until then.
  it('are waited for where ECS refuses for seconds only, and Docker runs none yet', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    const { world, own } = stage;
    const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    world.localAgent = undefined;
    world.calls.fails('readContainerInstance', new Refused('no', { code: 'AccessDeniedException' }));
    world.clock.schedule(20_000, () => world.calls.heals());
    world.clock.schedule(20 * minute, () => void (task.lastStatus = 'STOPPED'));
    let then = '';
    world.calls.onCall = ({ verb }) => {
      if (verb === 'completeHook') then ||= `${task.lastStatus} ${own.status}`;
    };
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(then).toBe('STOPPED DRAINING');
  });

  it.each([
    ['the cluster does not exist', new Refused('no', { code: 'ClusterNotFoundException' })],
    ['this role may not ask, and Docker runs no task', new Refused('no', { code: 'AccessDeniedException' })],
  ])('delay no node for long where ECS refuses: %s', async (_, refusal) => {
    const stage = setStage();
    const { world } = stage;
    world.localAgent = undefined;
    for (const verb of ['readContainerInstance', 'readTasks', 'drain']) world.calls.fails(verb, refusal);
    stage.group.begin('terminate');
    const began = world.clock.uptime();
    await stage.leaves(scaleIn);
    expect(world.clock.uptime() - began).toBeLessThan(10 * minute);
    expect(stage.deeds()).toContain('completeHook');
  });

  // Such a node waited for its whole deadline, instead of 30 s.
  it('delay no node for long that ECS never knew, although Docker runs a container with a name like those of tasks', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    const { world, own } = stage;
    own.ec2InstanceId = 'i-0another';
    world.localAgent = undefined;
    world.docker.containers.push(sidecar);
    stage.group.begin('terminate');
    const began = world.clock.uptime();
    await stage.leaves(scaleIn);
    expect(world.clock.uptime() - began).toBeLessThan(10 * minute);
    expect(stage.deeds()).toContain('completeHook');
  });

  // Each node of an image with the wrong cluster waited for its deadline. The storm guards of the
  // others saw no failure meanwhile, and all of them ended.
  it('delay no node for long that ECS never knew, although its ECS agent is in another cluster', async () => {
    const stage = setStage();
    const { world, own } = stage;
    own.ec2InstanceId = 'i-0another';
    world.localAgent = { cluster: 'wrong', containerInstanceArn: own.arn, version: '1.106.1' };
    stage.host.cloud.ownsContainerInstance = async () => false;
    stage.group.begin('terminate');
    const began = world.clock.uptime();
    await stage.leaves(scaleIn);
    expect(world.clock.uptime() - began).toBeLessThan(10 * minute);
    expect(stage.deeds()).toContain('completeHook');
  });

  it("are waited for on the node's real record, when the port names an old one of this instance", async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 3600 } }));
    const { world, own } = stage;
    const task = world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    const old = world.cluster.addInstance({ ec2InstanceId: own.ec2InstanceId, agentConnected: false, registeredAt: 0 });
    stage.host.ecsAgent.readAgent = async () => ({
      cluster: 'demo',
      containerInstanceArn: old.arn,
      version: '1.106.1',
    });
    stage.host.ecsAgent.readTasks = async () => [];
    world.clock.schedule(20 * minute, () => void (task.lastStatus = 'STOPPED'));
    let then = '';
    world.calls.onCall = ({ verb }) => {
      if (verb === 'completeHook') then ||= task.lastStatus;
    };
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(then).toBe('STOPPED');
  });

  it.each([
    ['have their stop timeout, and no more, where ECS falls silent after they were told to stop', true, 5 * minute],
    ['are waited for until the deadline where ECS never listed them', false, 10 * minute],
  ])('%s', async (_, isListed, leastMs) => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
    const { world, own } = stage;
    world.localAgent = undefined;
    const stopTimeoutMs = 5 * minute;
    world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity, stopTimeoutMs });
    const silence = () => world.calls.fails('cloud.readTasks', new Unavailable('throttled'));
    if (!isListed) silence();
    world.calls.onCall = ({ verb }) => {
      if (verb === 'stopTask') silence();
    };
    stage.group.begin('terminate');
    const state = await stage.leaves(scaleIn);
    expect(state.troubles.join()).toContain('tasks left to the end of the instance');
    const tookMs = state.entered.registrar! - state.entered.tasks!;
    expect(tookMs).toBeGreaterThanOrEqual(leastMs);
    expect(tookMs).toBeLessThan(leastMs + minute);
  });

  it('are not stopped unless ECS lists them here, whatever the introspection port says', async () => {
    const stage = setStage(configOf({ leave: { drainSeconds: 10 } }));
    const neighbour = stage.world.cluster.addInstance();
    const foreign = stage.world.cluster.addTask(neighbour.arn, { group: 'family:batch', stopsAfterMs: Infinity });
    stage.host.ecsAgent.readTasks = async () => [
      { arn: foreign.arn, family: 'web', version: '1', desiredStatus: 'RUNNING', knownStatus: 'RUNNING' },
    ];
    stage.group.begin('terminate');
    await stage.leaves(scaleIn);
    expect(foreign.lastStatus).toBe('RUNNING');
    expect(stage.world.calls.of('stopTask')).toEqual([]);
    // The verb refuses it too (host/aws/ecs/own-records.ts): the node must not even try.
    expect(stage.departure().irrevocable?.stoppedTasksAt).toBeUndefined();
  });
});
