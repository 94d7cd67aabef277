import { describe, expect, it } from 'vitest';
import { messageOf } from '../../../core/errors.ts';
import type { CloudTask, LocalTask } from '../../../core/host.ts';
import {
  decide,
  pauseMs,
  startVisibleMs,
  startedBy,
  youngMs,
  type Past,
  type ObservedTasks,
  type DesiredTask,
} from '../../../upkeep/daemon-tasks.ts';
import { definitionArn } from '../../fakes/cloud/cluster.ts';
import { configOf } from '../agent/stage.ts';

const now = 1_700_000_000_000;
const minute = 60_000;
const wish = (revision: number | undefined = 2): DesiredTask => ({
  family: 'logspout',
  revision: revision === undefined ? undefined : definitionArn('logspout', revision),
});
const task = (id: string, more: Partial<CloudTask> = {}): CloudTask => ({
  arn: `arn:aws:ecs:us-east-1:123456789012:task/demo/${id}`,
  containerInstanceArn: 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/1',
  group: 'family:logspout',
  lastStatus: 'RUNNING',
  desiredStatus: 'RUNNING',
  definition: definitionArn('logspout', 2),
  startedBy,
  createdAt: now - minute,
  ...more,
});
const local = (id: string, more: Partial<LocalTask> = {}): LocalTask => ({
  arn: task(id).arn,
  family: 'logspout',
  version: '2',
  desiredStatus: 'RUNNING',
  knownStatus: 'RUNNING',
  ...more,
});
const sight = (tasks: CloudTask[], more: Partial<ObservedTasks> = {}): ObservedTasks => ({ tasks, local: [], ...more });
const past = (more: Partial<Past> = {}): Past => ({
  revision: definitionArn('logspout', 2),
  startedAt: now - minute,
  life: 'answered',
  taskArn: task('a').arn,
  misses: 0,
  ...more,
});
const stopped = (decision: ReturnType<typeof decide>) =>
  decision.actions.flatMap((deed) => (deed.kind === 'stop' ? [deed.taskArn.split('/').at(-1)] : []));
const starts = (decision: ReturnType<typeof decide>) => decision.actions.filter(({ kind }) => kind === 'start').length;

describe('a daemon task', () => {
  it('is started when none runs, after the intention is saved', () => {
    const decision = decide(wish(), sight([]), undefined, now);
    expect(decision).toMatchObject({
      standing: 'starts',
      actions: [{ kind: 'start', revision: definitionArn('logspout', 2) }],
      past: { life: 'asked', startedAt: now, misses: 0 },
    });
  });

  it('is left alone while it runs', () => {
    expect(decide(wish(), sight([task('a')]), past(), now)).toMatchObject({ standing: 'runs', actions: [] });
    const starting = task('a', { lastStatus: 'PENDING' });
    expect(decide(wish(), sight([starting]), past(), now)).toMatchObject({ standing: 'starts', actions: [] });
  });

  it('does not count by its family alone: a task of a service or a person is reported and not touched', () => {
    for (const other of [
      { startedBy: 'ecs-svc/1', group: 'service:logs' },
      { startedBy: '' },
      { startedBy: 'ecs-node' },
    ]) {
      const decision = decide(wish(), sight([task('a', other)]), undefined, now);
      expect(decision).toMatchObject({ standing: 'not ours', actions: [] });
      expect(decision.detail).toContain('another owner');
    }
    const service = task('b', {
      startedBy: 'ecs-svc/1',
      group: 'service:logs',
      definition: definitionArn('logspout', 1),
    });
    expect(decide(wish(), sight([task('a'), service]), past(), now)).toMatchObject({ standing: 'runs', actions: [] });
  });

  it("is stopped once when it runs twice: the older running one stays, in any order of ECS's list", () => {
    const old = task('z', { createdAt: now - 2 * minute });
    const young = task('a', { createdAt: now - minute });
    const pending = task('b', { lastStatus: 'PENDING', createdAt: now - 3 * minute });
    for (const tasks of [
      [old, young, pending],
      [pending, young, old],
    ]) {
      const decision = decide(wish(), sight(tasks, { local: [local('z')] }), past(), now);
      expect(stopped(decision).toSorted((a, b) => (a! < b! ? -1 : 1))).toEqual(['a', 'b']);
      expect(starts(decision)).toBe(0);
      expect(decision.past?.taskArn).toBe(old.arn);
    }
  });

  it('of an old revision is stopped first, and the new one started when it has stopped', () => {
    const old = task('a', { definition: definitionArn('logspout', 1) });
    const first = decide(wish(), sight([old]), past({ revision: definitionArn('logspout', 1) }), now);
    expect(stopped(first)).toEqual(['a']);
    expect(starts(first)).toBe(0);
    const stopping = { ...old, desiredStatus: 'STOPPED', lastStatus: 'DEACTIVATING' };
    expect(decide(wish(), sight([stopping]), first.past, now)).toMatchObject({ standing: 'stops', actions: [] });
    const last = decide(wish(), sight([], { ended: 'replaced' }), first.past, now);
    expect(last.actions).toEqual([{ kind: 'start', revision: definitionArn('logspout', 2) }]);
  });

  it('of an old revision is stopped when the new one runs beside it', () => {
    const both = [task('a', { definition: definitionArn('logspout', 1) }), task('b')];
    expect(stopped(decide(wish(), sight(both, { local: [local('b')] }), past(), now))).toEqual(['a']);
  });

  // An old list of ECS named a task that had ended, and the task that ran in its place was stopped.
  it('is not stopped beside one that only ECS names', () => {
    const both = [task('a', { createdAt: now - 2 * minute }), task('b')];
    const decisionWith = (...ids: string[]) =>
      decide(wish(), sight(both, { local: ids.map((id) => local(id)) }), past(), now);
    expect(stopped(decisionWith('b'))).toEqual([]);
    expect(stopped(decisionWith('a', 'b'))).toEqual(['b']);
  });

  it('stays as it is while the wanted revision is unknown, and none is started', () => {
    const unknown: DesiredTask = { family: 'logspout', revision: undefined, why: 'throttled' };
    const two = [task('a'), task('b', { definition: definitionArn('logspout', 1) })];
    expect(decide(unknown, sight(two), past(), now)).toMatchObject({ standing: 'runs', actions: [] });
    expect(decide(unknown, sight([]), undefined, now)).toMatchObject({
      standing: 'unknown',
      detail: 'throttled',
      actions: [],
    });
  });

  it('is waited for when its start got no answer, and requested again only when it never appears', () => {
    const asked = past({ life: 'asked', startedAt: now });
    const { taskArn: _, ...unanswered } = asked;
    expect(decide(wish(), sight([]), unanswered, now + startVisibleMs - 1).actions).toEqual([]);
    expect(starts(decide(wish(), sight([]), unanswered, now + startVisibleMs))).toBe(1);
    const found = decide(wish(), sight([task('a', { createdAt: now })]), unanswered, now + 1_000);
    expect(found).toMatchObject({ actions: [], past: { life: 'answered', taskArn: task('a').arn } });
  });

  it('is not started again while ECS does not list it yet', () => {
    expect(decide(wish(), sight([]), past({ startedAt: now }), now + 5_000)).toMatchObject({
      standing: 'starts',
      actions: [],
    });
  });

  it('may belong to another program when only the ECS agent knows it: nothing is started', () => {
    const decision = decide(wish(), sight([], { local: [local('x')] }), undefined, now);
    expect(decision).toMatchObject({ standing: 'waits', actions: [] });
    expect(starts(decide(wish(), sight([], { local: [local('x', { family: 'web' })] }), undefined, now))).toBe(1);
  });

  it('is started again at once when it ends after a long run', () => {
    const long = past({ startedAt: now - youngMs });
    expect(starts(decide(wish(), sight([], { ended: 'exit 1' }), long, now))).toBe(1);
  });

  it('is started less and less often when it fails again and again, with the reason', () => {
    let known: Past | undefined;
    const gaps: number[] = [];
    let last = now;
    for (let time = now; gaps.length < 10; time += 5_000) {
      const decision = decide(wish(), sight([], { ended: 'Essential container in task exited' }), known, time);
      known = decision.past;
      if (starts(decision) === 0) continue;
      if (time !== now) gaps.push(time - last);
      last = time;
      known = { ...known!, life: 'answered', taskArn: task('a').arn };
    }
    expect(gaps.every((gap, index) => gap >= (gaps[index - 1] ?? 0))).toBe(true);
    expect(gaps.at(-1)).toBe(900_000);
    expect(pauseMs(1)).toBe(0);
    expect(gaps[1]).toBeGreaterThanOrEqual(pauseMs(2));
    const waiting = decide(wish(), sight([], { ended: 'Essential container in task exited' }), known, last + 1_000);
    expect(waiting).toMatchObject({ standing: 'waits', actions: [] });
    expect(waiting.detail).toContain('Essential container in task exited');
  });

  it('gets a new chance with a new revision, and after it ran for long', () => {
    const dying = past({ life: 'ended', misses: 8, startedAt: now - 1_000, why: 'exit 1' });
    expect(starts(decide(wish(2), sight([]), dying, now))).toBe(0);
    expect(decide(wish(3), sight([]), dying, now)).toMatchObject({ actions: [{ kind: 'start' }], past: { misses: 0 } });
    const alive = task('a', { createdAt: now - youngMs });
    expect(decide(wish(), sight([alive]), past({ misses: 3, startedAt: now - youngMs }), now).past).toMatchObject({
      misses: 0,
    });
  });

  it('does not wait for a clock that was set back, and a small step starts none twice', () => {
    const day = 86_400_000;
    const dying = past({ life: 'ended', misses: 8 });
    expect(starts(decide(wish(), sight([]), { ...dying, startedAt: now + day }, now))).toBe(1);
    expect(starts(decide(wish(), sight([]), past({ startedAt: now + 2_000 }), now))).toBe(0);
  });
});

describe('the list of daemon tasks', () => {
  const faults = (definitions: unknown) => {
    try {
      return configOf({ daemonTasks: { definitions } }).daemonTasks.definitions;
    } catch (error) {
      return messageOf(error);
    }
  };

  it('accepts families, revisions and ARNs, each family once', () => {
    const good = ['logspout', 'datadog:3', definitionArn('agent', 7)];
    expect(faults(good)).toEqual(good);
    expect(faults(['logspout', 'logspout:3'])).toMatch(/daemonTasks.definitions: must name each family once/);
    expect(faults([definitionArn('a', 1), 'a'])).toMatch(/must name each family once/);
    for (const bad of ['', 'a b', 'a:0', 'a:b', 'arn:aws:ecs:us-east-1:1:service/a', '$(x)'])
      expect(faults([bad])).toMatch(/must be a task definition/);
  });
});
