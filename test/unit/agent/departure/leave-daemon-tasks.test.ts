import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import { startedBy } from '../../../../upkeep/daemon-tasks.ts';
import { configOf, setStage } from '../stage.ts';

/**
 * A node with an ordinary task and a daemon task, which no service has started: DRAINING does not
 * stop it.
 */
function setNode(leave: object = {}, task: object = {}) {
  const stage = setStage(configOf({ leave }));
  const { world, own } = stage;
  const web = world.cluster.addTask(own.arn, { stopsAfterMs: 120_000, ...task });
  const daemon = world.cluster.addTask(own.arn, {
    family: 'logspout',
    group: 'family:logspout',
    startedBy,
    stopsAfterMs: 10_000,
  });
  const seen: string[] = [];
  world.calls.onCall = ({ verb, args }) => {
    if (verb === 'stopTask') seen.push(`${args[1] === daemon.arn ? 'daemon' : 'web'} while web ${web.lastStatus}`);
    if (['deregister', 'terminateInGroup', 'completeHook'].includes(verb)) seen.push(`${verb}, ${daemon.lastStatus}`);
  };
  return { stage, world, web, daemon, seen };
}

describe('daemon tasks of a node that leaves', () => {
  it('delay no other task, are stopped last, and are waited for', async () => {
    const { stage, seen, daemon } = setNode();
    const state = await stage.leaves();
    expect(seen).toEqual(['daemon while web STOPPED', 'terminateInGroup, STOPPED', 'completeHook, STOPPED']);
    expect(daemon.lastStatus).toBe('STOPPED');
    expect(state).toMatchObject({ troubles: [], blockers: [] });
  });

  // The call that started it took effect eight seconds late, and the node ended under the task.
  it('are stopped as well when they start while the others are being stopped', async () => {
    const { stage, world, daemon } = setNode();
    const { onCall } = world.calls;
    let late: typeof daemon | undefined;
    world.calls.onCall = (call) => {
      onCall?.(call);
      if (call.verb === 'stopTask' && call.args[1] === daemon.arn)
        late ??= world.cluster.addTask(stage.own.arn, { family: 'logspout', group: 'family:logspout', startedBy });
    };
    await stage.leaves();
    expect(late?.lastStatus).toBe('STOPPED');
  });

  it('are stopped on a node that is only drained, too', async () => {
    const { stage, daemon } = setNode();
    await stage.leaves({ cause: 'operator', ending: 'remain' });
    expect(daemon.lastStatus).toBe('STOPPED');
  });

  it('are stopped after the tasks that were stopped at the deadline', async () => {
    const { stage, seen } = setNode({ drainSeconds: 60 }, { stopsAfterMs: Infinity });
    await stage.leaves();
    expect(seen.slice(0, 2)).toEqual(['web while web STOPPING', 'daemon while web STOPPED']);
  });

  it('stay with tasks that are left to the end of the instance', async () => {
    const { stage, seen, daemon } = setNode(
      { drainSeconds: 60, atDeadline: 'leave-tasks' },
      { stopsAfterMs: Infinity },
    );
    const state = await stage.leaves();
    expect(seen.filter((line) => line.includes('while'))).toEqual([]);
    expect(daemon.lastStatus).toBe('RUNNING');
    expect(state.troubles.join()).toContain('tasks left to the end of the instance');
    expect(state.troubles.join()).not.toContain('logspout');
  });

  // The first lost answer, or the first refusal, left them to the end of the machine.
  it.each([
    ['is silent for 25 s', new Unavailable('HTTP 503'), 25_000],
    ['refuses for 40 s', new Refused('no', { code: 'AccessDeniedException' }), 40_000],
  ])('are told again when ECS %s', async (_what, error, ms) => {
    const { stage, world, daemon, seen } = setNode();
    const { onCall } = world.calls;
    world.calls.fails('stopTask', error);
    world.calls.onCall = (call) => {
      onCall?.(call);
      if (call.verb === 'stopTask' && seen.length === 1) world.clock.schedule(ms, () => world.calls.heals());
    };
    await stage.leaves();
    expect(daemon.lastStatus).toBe('STOPPED');
    expect(seen).toContain('terminateInGroup, STOPPED');
  });

  it('do not keep the node when they do not stop', async () => {
    const refused = setNode();
    refused.world.calls.fails('stopTask', new Refused('no', { code: 'AccessDeniedException' }), 9);
    const first = await refused.stage.leaves();
    expect(first.phase).toBe('done');
    expect(first.troubles.join()).toMatch(/stopping .*: no/);
    const stuck = setNode();
    stuck.world.calls.onCall = ({ verb }) => {
      if (verb === 'readTasks' && stuck.daemon.desiredStatus === 'STOPPED') stuck.daemon.lastStatus = 'STOPPING';
    };
    const second = await stuck.stage.leaves();
    expect(second.troubles.join()).toContain('daemon tasks left to the end of the instance');
    expect(second.phase).toBe('done');
  });

  it('delay nothing where the role may not list tasks, and are not stopped on the evidence of a file alone', async () => {
    const { stage, world, daemon, seen } = setNode();
    world.machine.files.set(
      '/var/lib/ecs-node/daemon-tasks.json',
      JSON.stringify({
        instanceId: world.identity.instanceId,
        families: {
          logspout: {
            standing: 'runs',
            detail: '',
            since: 1,
            past: { revision: 'logspout:1', startedAt: 1, life: 'answered', taskArn: daemon.arn, misses: 0 },
          },
        },
      }),
    );
    world.calls.fails('cloud.readTasks', new Refused('no', { code: 'AccessDeniedException' }), 999);
    const state = await stage.leaves();
    expect(state.troubles.join()).not.toContain('deadline');
    expect(state.phase).toBe('done');
    expect(seen).toEqual(['terminateInGroup, RUNNING', 'completeHook, RUNNING']);
    expect(daemon.lastStatus).toBe('RUNNING');
  });

  it('are stopped last whenever the agent is killed on the way', async () => {
    for (const verb of ['drain', 'stopTask'] as const) {
      for (const when of ['before', 'after'] as const) {
        const probe = setNode();
        await probe.stage.leaves();
        const n = probe.world.calls.list.findIndex((call) => call.verb === verb) + 1;
        const { stage, world, daemon, seen } = setNode();
        world.calls.crashAt(n, when);
        // Its clock never finishes what the dead process has begun.
        stage.leaves().catch(() => {});
        await world.calls.crashed();
        const state = await stage.leaves({}, world.restart());
        expect(state.phase).toBe('done');
        expect(daemon.lastStatus).toBe('STOPPED');
        expect(
          seen.filter((line) => line.startsWith('daemon')).every((line) => line === 'daemon while web STOPPED'),
        ).toBe(true);
      }
    }
  });
});
