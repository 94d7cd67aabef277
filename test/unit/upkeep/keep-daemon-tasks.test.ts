import { describe, expect, it } from 'vitest';
import { renderStatus } from '../../../commands/status/render-status.ts';
import { readStatus } from '../../../commands/status/status-report.ts';
import { ConfigError, Refused, Unavailable } from '../../../core/errors.ts';
import type { Host } from '../../../core/host.ts';
import { paths, renderState, type OperatorRequest } from '../../../core/state/state.ts';
import { chores } from '../../../upkeep/chores.ts';
import { parseDaemonTasks, type DaemonTasks } from '../../../upkeep/daemon-tasks-memory.ts';
import { startedBy } from '../../../upkeep/daemon-tasks.ts';
import { lazily, setStage } from '../agent/stage.ts';

const minute = 60_000;

/** A node in service that shall run one task of each of these. */
function setNode(definitions: string[] = ['logspout'], known: string[] = ['logspout']) {
  const config = lazily({ daemonTasks: { definitions } });
  const stage = setStage(config);
  const { world, own } = stage;
  for (const family of known) world.cluster.addDefinition(family);
  const violations: string[] = [];
  const alive = (family = 'logspout') =>
    world.cluster.tasks.filter((task) => task.family === family && task.lastStatus !== 'STOPPED');
  const mine = (family = 'logspout') => alive(family).filter((task) => task.startedBy === startedBy);
  world.calls.onCall = ({ verb, args }) => {
    const family = String(args[2]).replace(/^.*\//, '').replace(/:.*$/, '');
    if (verb === 'startTask' && mine(family).length > 0) violations.push(`a second ${family}`);
    if (verb === 'startTask' && own.status !== 'ACTIVE') violations.push(`started while ${own.status}`);
  };
  const agent = (host: Host = stage.host) => stage.agent(host, { chores: chores(config, async () => 'unchanged') });
  const memory = () => JSON.parse(String(world.machine.files.get(paths.daemonTasks))) as DaemonTasks;
  const end = (task: { lastStatus: string; desiredStatus: string; stoppedReason?: string }) =>
    Object.assign(task, { lastStatus: 'STOPPED', desiredStatus: 'STOPPED', stoppedReason: 'exit 1' });
  const run = (ms: number) => world.clock.run(ms);
  /** ECS and the agent tell of a new task so much later. */
  const tellLate = (ms: number) => {
    const add = world.cluster.addTask;
    world.cluster.addTask = (arn, more) => {
      const task = Object.assign(add(arn, more), { unlisted: true });
      world.clock.schedule(ms, () => (task.unlisted = false));
      return task;
    };
  };
  return { stage, world, own, violations, alive, mine, agent, memory, end, run, tellLate };
}

describe('the daemon tasks of a node', () => {
  // One byte that is not UTF-8: no daemon task started, and the status said "unchanged".
  it('are started although the memory of the last start is damaged', async () => {
    const { world, mine, agent, memory, run } = setNode();
    const path = paths.daemonTasks;
    world.machine.files.set(path, new ConfigError([{ path, problem: 'is not UTF-8 text' }]));
    const running = agent();
    await run(3 * minute);
    expect(mine()).toHaveLength(1);
    expect(memory().families['logspout']).toMatchObject({ standing: 'runs' });
    await running.stop();
  });

  it('are shown as failed also while the node pauses after a round that ECS did not answer', async () => {
    const { stage, agent, run } = setNode();
    const { host } = stage;
    const readTasks = () => Promise.reject(new Unavailable('silent'));
    const running = agent({ ...host, cloud: { ...host.cloud, readTasks } });
    for (let minutes = 0; minutes < 10; minutes++) {
      await run(2 * minute);
      expect(stage.status().chores?.['daemon-tasks']).toMatchObject({ outcome: 'failed', error: 'silent' });
    }
    await running.stop();
  });

  it('are started when it is in service, one of each, and then cause no calls', async () => {
    const { world, mine, violations, agent, memory, run } = setNode(['logspout', 'datadog:1'], ['logspout', 'datadog']);
    const running = agent();
    await run(2 * minute);
    for (const family of ['logspout', 'datadog']) expect(mine(family)).toHaveLength(1);
    const before = world.calls.verbs('cloud').filter((verb) => verb === 'readTasks').length;
    await run(60 * minute);
    const asked = world.calls.verbs('cloud').filter((verb) => verb === 'readTasks').length - before;
    // Once in five minutes, though the agent on the node is asked twice a minute.
    expect(asked).toBeLessThanOrEqual(15);
    expect(asked).toBeGreaterThanOrEqual(10);
    expect(world.calls.of('startTask')).toHaveLength(2);
    expect(violations).toEqual([]);
    expect(memory().families['logspout']).toMatchObject({ standing: 'runs', past: { life: 'answered', misses: 0 } });
    await running.stop();
  });

  it('are neither started nor stopped while the ECS agent does not name a task', async () => {
    const { stage, world, own, agent, mine, run } = setNode();
    const other = world.cluster.addTask(own.arn, { unnamed: true });
    const running = agent();
    await run(10 * minute);
    expect(world.calls.of('startTask')).toEqual([]);
    expect(stage.status().chores?.['daemon-tasks']).toMatchObject({
      outcome: 'failed',
      error: expect.stringContaining('does not name all of its tasks') as string,
    });
    other.unnamed = false;
    await run(2 * minute);
    expect(mine()).toHaveLength(1);
    await running.stop();
  });

  // Such a task counted as one that is no longer configured.
  it('are neither started nor stopped while ECS does not name the definition of a task', async () => {
    const { stage, world, agent, mine, run } = setNode();
    const { cloud } = stage.host;
    let isNamed = true;
    const readTasks: typeof cloud.readTasks = async (...args) =>
      (await cloud.readTasks(...args)).map((task) => (isNamed ? task : { ...task, definition: '' }));
    const running = agent({ ...stage.host, cloud: { ...cloud, readTasks } });
    await run(5 * minute);
    const [task] = mine();
    isNamed = false;
    await run(10 * minute);
    expect(world.calls.of('stopTask')).toEqual([]);
    expect(world.calls.of('startTask')).toHaveLength(1);
    expect(mine()).toEqual([task]);
    expect(stage.status().chores?.['daemon-tasks']).toMatchObject({ outcome: 'failed' });
    isNamed = true;
    await run(10 * minute);
    expect(stage.status().chores?.['daemon-tasks']).toMatchObject({ outcome: 'unchanged' });
    await running.stop();
  });

  it('are restarted when they end, and less and less often when they keep failing', async () => {
    const { world, mine, end, agent, run, memory, violations } = setNode();
    const running = agent();
    await run(20 * minute);
    end(mine()[0]!);
    await run(minute);
    expect(mine()).toHaveLength(1);
    const before = world.calls.of('startTask').length;
    for (let seconds = 0; seconds < 3_600; seconds += 10) {
      for (const task of mine()) end(task);
      await run(10_000);
    }
    const starts = world.calls.of('startTask').slice(before);
    const gaps = starts.slice(1).map(({ at }, index) => at - starts[index]!.at);
    expect(starts.length).toBeLessThan(12);
    expect(Math.max(...gaps)).toBeGreaterThan(10 * minute);
    expect(memory().families['logspout']?.detail).toContain('exit 1');
    expect(violations).toEqual([]);
    await running.stop();
  });

  // One answer named logspout:1 as the newest revision, and the task of logspout:2 was stopped.
  it('are not replaced by an older revision until ECS says that theirs is not ACTIVE', async () => {
    const { world, mine, agent, memory, run } = setNode(['logspout'], ['logspout', 'logspout']);
    const running = agent();
    await run(2 * minute);
    const [task] = mine();
    const newest = world.cluster.definitions.at(-1)!;
    let looks = 0;
    const stale = ({ verb, args }: { verb: string; args: readonly unknown[] }) => {
      if (verb !== 'readTaskDefinition') return;
      if (args[0] === 'logspout') looks++;
      newest.status = args[0] === 'logspout' ? 'INACTIVE' : 'ACTIVE';
    };
    world.calls.onCall = stale;
    await run(20 * minute);
    expect(looks).toBeGreaterThan(2);
    expect(mine()).toEqual([task]);
    expect(world.calls.of('stopTask')).toEqual([]);
    expect(memory().families['logspout']!.detail).toContain('logspout:2 is ACTIVE');
    world.calls.onCall = undefined;
    newest.status = 'INACTIVE';
    await run(20 * minute);
    expect(mine().map(({ version }) => version)).toEqual(['1']);
    await running.stop();
  });

  // One stale answer stopped the task of logspout:2, and another one started it again.
  it.each([
    [50_000, '2'],
    [Infinity, '1'],
  ])('are replaced by an older revision once ECS has named it for a minute (%d ms: %s)', async (staleMs, version) => {
    const { world, mine, agent, run } = setNode(['logspout'], ['logspout', 'logspout']);
    const running = agent();
    await run(2 * minute);
    const newest = world.cluster.definitions.at(-1)!;
    let until: number | undefined;
    world.calls.onCall = ({ verb }) => {
      if (verb !== 'readTaskDefinition') return;
      until ??= world.clock.uptime() + staleMs;
      newest.status = world.clock.uptime() < until ? 'INACTIVE' : 'ACTIVE';
    };
    await run(20 * minute);
    expect(until).toBeDefined();
    expect(world.calls.of('stopTask')).toHaveLength(version === '1' ? 1 : 0);
    expect(mine().map((task) => task.version)).toEqual([version]);
    await running.stop();
  });

  it('are replaced by a new revision: the old one has stopped before the new one starts', async () => {
    const { world, alive, mine, agent, run, violations } = setNode();
    const running = agent();
    await run(minute);
    world.cluster.addDefinition('logspout');
    await run(8 * minute);
    expect(alive()).toMatchObject([{ version: '2' }]);
    expect(mine()).toHaveLength(1);
    expect(world.calls.of('stopTask')).toHaveLength(1);
    expect(violations).toEqual([]);
    await running.stop();
  });

  it('are left alone and reported when they belong to others; ours start when those have ended', async () => {
    const { world, own, alive, mine, end, agent, run, memory } = setNode();
    const service = world.cluster.addTask(own.arn, {
      family: 'logspout',
      group: 'service:logs',
      startedBy: 'ecs-svc/1',
    });
    const running = agent();
    await run(5 * minute);
    expect(alive()).toHaveLength(1);
    expect(world.calls.of('startTask')).toEqual([]);
    expect(memory().families['logspout']).toMatchObject({ standing: 'not ours' });
    expect(world.log.filter(({ message }) => message === 'daemon task')).toHaveLength(1);
    end(service);
    await run(2 * minute);
    expect(mine()).toHaveLength(1);
    expect(world.calls.of('stopTask')).toEqual([]);
    await running.stop();
  });

  it('never run twice after a lost answer, a late list, or a kill of the agent at any call', async () => {
    for (const when of ['before', 'after'] as const) {
      // The calls around the start: what is before and after them the simulation kills at random.
      const { world: probe, agent: start, run: live } = setNode();
      const first = start();
      await live(2 * minute);
      const at = probe.calls.list.findIndex(({ verb }) => verb === 'startTask') + 1;
      await first.stop();
      for (const n of [at - 3, at - 2, at - 1, at, at + 1, at + 2]) {
        const { world, mine, agent, run, violations, tellLate } = setNode();
        tellLate(45_000);
        world.calls.crashAt(n, when);
        agent();
        await run(30_000);
        const running = agent(world.restart());
        await run(5 * minute);
        expect(mine(), `${n} ${when}`).toHaveLength(1);
        expect(violations, `${n} ${when}`).toEqual([]);
        await running.stop();
      }
    }
    const { world, mine, agent, run, violations } = setNode();
    world.calls.losesAnswer('startTask', new Unavailable('cut'));
    const running = agent();
    await run(5 * minute);
    expect(mine()).toHaveLength(1);
    expect(violations).toEqual([]);
    await running.stop();
  });

  it('are waited for when ECS lists them late', async () => {
    const { mine, agent, run, violations, tellLate } = setNode();
    tellLate(40_000);
    const running = agent();
    await run(5 * minute);
    expect(mine()).toHaveLength(1);
    expect(violations).toEqual([]);
    await running.stop();
  });

  it('are not started while a person drains the node, or while its ECS agent is away', async () => {
    const { world, own, mine, agent, run, memory, violations } = setNode();
    own.status = 'DRAINING';
    const running = agent();
    await run(5 * minute);
    expect(world.calls.of('startTask')).toEqual([]);
    expect(memory().families['logspout']?.detail).toContain('DRAINING');
    own.status = 'ACTIVE';
    await run(6 * minute);
    expect(mine()).toHaveLength(1);
    expect(violations).toEqual([]);
    await running.stop();
  });

  it('end with a node that drains and come back when it stays', async () => {
    const { world, own, alive, mine, agent, run, violations } = setNode();
    const { instanceId } = world.identity;
    const ask = (action: 'leave' | 'stay') => {
      const request: OperatorRequest = {
        instanceId,
        id: action,
        action,
        reason: 'a look inside',
        terminate: false,
        at: 0,
      };
      world.machine.files.set(paths.request, renderState(request));
    };
    const running = agent();
    await run(20 * minute);
    expect(mine()).toHaveLength(1);
    ask('leave');
    await run(10 * minute);
    expect(own.status).toBe('DRAINING');
    expect(alive()).toEqual([]);
    ask('stay');
    await run(10 * minute);
    expect(own.status).toBe('ACTIVE');
    expect(mine()).toHaveLength(1);
    expect(violations).toEqual([]);
    await running.stop();
  });

  it('are stopped when they are no longer configured, and tasks of others are not', async () => {
    const { world, own, mine, agent, run } = setNode([]);
    const orphan = world.cluster.addTask(own.arn, { family: 'logspout', group: 'family:logspout', startedBy });
    const batch = world.cluster.addTask(own.arn, { family: 'logspout', group: 'family:logspout' });
    const running = agent();
    await run(2 * minute);
    expect(orphan.desiredStatus).toBe('STOPPED');
    expect(batch.lastStatus).toBe('RUNNING');
    expect(mine()).toEqual([]);
    await running.stop();
  });

  it('stay as they are when ECS is silent, and one bad definition does not stop the others', async () => {
    const { world, mine, agent, run, stage, memory } = setNode(['logspout', 'nothing']);
    const running = agent();
    await run(2 * minute);
    expect(mine()).toHaveLength(1);
    expect(memory().families['nothing']).toMatchObject({ standing: 'unknown' });
    expect(stage.status().chores?.['daemon-tasks']).toMatchObject({ outcome: 'failed' });
    expect(stage.status().chores?.['daemon-tasks']?.error).toContain('no ACTIVE task definition nothing');
    for (const error of [new Unavailable('throttled'), new Refused('no', { code: 'AccessDeniedException' })]) {
      world.calls.fails('cloud.readTaskDefinition', error, 50);
      await run(20 * minute);
      expect(mine()).toHaveLength(1);
      world.calls.heals();
    }
    expect(world.calls.of('stopTask')).toEqual([]);
    await running.stop();
  });

  it('without room are requested again with backoff, and the status names the missing resource', async () => {
    const { stage, world, mine, agent, run, memory } = setNode();
    world.cluster.definitions[0]!.failure = 'RESOURCE:MEMORY';
    const running = agent();
    await run(30 * minute);
    expect(world.calls.of('startTask').length).toBeLessThan(10);
    expect(memory().families['logspout']).toMatchObject({ standing: 'waits', past: { life: 'ended' } });
    expect(memory().families['logspout']?.detail).toContain('RESOURCE:MEMORY');
    const status = renderStatus(await readStatus(stage.host.machine), world.clock.now());
    expect(status).toMatch(/Daemon tasks\n +logspout +waits .*RESOURCE:MEMORY/);
    delete world.cluster.definitions[0]!.failure;
    await run(21 * minute);
    expect(mine()).toHaveLength(1);
    await running.stop();
  });
});

describe('the memory of daemon tasks', () => {
  it('counts only when complete, and only on the instance that wrote it', () => {
    const families = { a: { standing: 'runs', detail: '', since: 1 } };
    const text = (more: object) => JSON.stringify({ instanceId: 'i-1', families, ...more });
    expect(parseDaemonTasks(text({}), 'i-1')).toMatchObject({ families });
    expect(parseDaemonTasks(text({}), 'i-2')).toBeUndefined();
    for (const broken of ['', '{', 'null', '[]', text({ families: [] }), text({ families: { a: {} } })])
      expect(parseDaemonTasks(broken, 'i-1')).toBeUndefined();
  });
});
