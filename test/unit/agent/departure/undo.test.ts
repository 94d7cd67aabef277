import { describe, expect, it } from 'vitest';
import { undoDeparture, type UndoOptions } from '../../../../agent/departure/undo.ts';
import { Unavailable } from '../../../../core/errors.ts';
import { paths, renderState, type DepartureState } from '../../../../core/state/state.ts';
import { configOf, never, setStage, type Stage } from '../stage.ts';
import { targetGroup } from './leave/orders.ts';

const options: UndoOptions = { why: 'the disk is free', keepDraining: false, eventGone: true };

/** A drained node, whose departure is on disk. */
function drained(more: Partial<DepartureState> = {}, config = configOf()) {
  const stage = setStage(config);
  const { instanceId } = stage.world.identity;
  const now = stage.host.clock.now();
  const state: DepartureState = {
    instanceId,
    cause: 'disk',
    reason: 'disk full',
    startedAt: now,
    deadline: now + 3_600_000,
    ending: 'terminate',
    phase: 'tasks',
    entered: {},
    blockers: ['service:web 1 RUNNING'],
    troubles: [],
    irrevocable: {},
    drainedAt: now,
    ...more,
  };
  stage.own.status = 'DRAINING';
  stage.world.machine.files.set(paths.departure, renderState(state));
  return { stage, state };
}

const undo = ({ host, config, world }: Stage, known?: DepartureState, more: Partial<UndoOptions> = {}) =>
  world.clock.finish(undoDeparture(host, config, known, { ...options, ...more }, never));

describe('a departure that is called off', () => {
  it('makes the node ACTIVE, says why, and keeps the event that is gone', async () => {
    const { stage, state } = drained({}, configOf({ events: { bus: 'default' } }));
    expect(await undo(stage, state)).toBe(true);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.departure()).toMatchObject({ eventGone: true, blockers: [], undoneAt: stage.host.clock.now() });
    expect(stage.world.machine.console.join()).toContain('ecs-node: stays: the disk is free');
    await stage.world.clock.run(60_000);
    const told = stage.world.events.map(({ detail }) => detail);
    expect(told).toMatchObject([{ cause: 'disk', reason: 'the disk is free' }]);
  });

  it('is read from the disk where this process does not know it', async () => {
    const { stage } = drained();
    expect(await undo(stage, undefined, { eventGone: false, overruled: ['a'] })).toBe(true);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.departure()).toMatchObject({ overruled: ['a'] });
    expect(stage.departure()).not.toHaveProperty('eventGone');
  });

  // It counted as undone, and the node stayed DRAINING.
  it('is not undone while the disk does not answer', async () => {
    const { stage } = drained();
    const kept = stage.world.machine.files.get(paths.departure)!;
    stage.world.machine.files.set(paths.departure, new Unavailable('EIO: i/o error'));
    await expect(undo(stage)).rejects.toThrow('the disk does not say');
    stage.world.machine.files.set(paths.departure, kept);
    expect(await undo(stage)).toBe(true);
    expect(stage.own.status).toBe('ACTIVE');
  });

  it('leaves the node alone where there is none, or it is undone already', async () => {
    const { stage, state } = drained();
    expect(await undo(stage, { ...state, undoneAt: 1 })).toBe(true);
    stage.world.machine.files.delete(paths.departure);
    expect(await undo(stage)).toBe(true);
    expect(stage.own.status).toBe('DRAINING');
  });

  // The ECS agent may come back under any of them.
  it('makes every record of the node ACTIVE that was drained', async () => {
    const { stage, state } = drained();
    const { ec2InstanceId } = stage.own;
    const other = stage.world.cluster.addInstance({ ec2InstanceId, agentConnected: false, status: 'DRAINING' });
    const neighbour = stage.world.cluster.addInstance({ status: 'DRAINING' });
    await undo(stage, state);
    expect([stage.own, other, neighbour].map(({ status }) => status)).toEqual(['ACTIVE', 'ACTIVE', 'DRAINING']);
  });

  it('keeps the node DRAINING for another reason', async () => {
    const { stage, state } = drained();
    stage.own.attributes.set('ecs-node.leave.operator', '1');
    expect(await undo(stage, state, { keepDraining: true })).toBe(true);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.own.attributes.size).toBe(0);
    expect(stage.departure()).toHaveProperty('undoneAt');
  });

  it('removes its own marks, and leaves an entry in the queue of another watcher', async () => {
    const { stage, state } = drained();
    for (const reason of ['operator', 'docker']) stage.own.attributes.set(`ecs-node.leave.${reason}`, '1');
    await undo(stage, state);
    expect([...stage.own.attributes.keys()]).toEqual(['ecs-node.leave.docker']);
  });

  it('looks for no marks where it drained nothing', async () => {
    const { stage, state } = drained();
    const { drainedAt: _drainedAt, ...undrained } = state;
    stage.own.attributes.set('ecs-node.leave.operator', '1');
    expect(await undo(stage, undrained)).toBe(true);
    expect(stage.own.attributes.size).toBe(1);
  });

  it.each(['deregisteredAt', 'askedToEndAt'] as const)(
    'goes on where it is too late (%s), unless its cause is denied',
    async (deed) => {
      const { stage } = drained({ irrevocable: { [deed]: 1 } });
      expect(await undo(stage)).toBe(false);
      expect(stage.own.status).toBe('DRAINING');
      expect(stage.departure()).not.toHaveProperty('undoneAt');
      expect(await undo(stage, undefined, { isDenied: true })).toBe(true);
      expect(stage.own.status).toBe('ACTIVE');
    },
  );

  it('tells a person what it did not undo, and how to mend it', async () => {
    const irrevocable = { leftBalancersAt: 1, deregisteredAt: 1 };
    const balanced = configOf({ leave: { targetGroups: [targetGroup] } });
    const { stage } = drained({ irrevocable, troubles: ['older'] }, balanced);
    await undo(stage, undefined, { isDenied: true });
    expect(stage.departure().troubles).toEqual([
      'older',
      expect.stringContaining('deregistered from its load balancers'),
      expect.stringContaining('left its registrar'),
    ]);
    for (const nothing of [drained({}, balanced), drained({ irrevocable: { leftBalancersAt: 1 } })]) {
      await undo(nothing.stage);
      expect(nothing.stage.departure().troubles).toEqual([]);
    }
  });

  // One list without the record would leave the node DRAINING for ever.
  it.each([
    [75, 'noted', true],
    [30, 'not noted', false],
  ])('believes after %i s that ECS has no record of the node: draining %s', async (seconds, _, isNoted) => {
    const { stage, state } = drained();
    [stage.world.cluster.instances, stage.world.localAgent] = [[], undefined];
    const { drainedAt: _drainedAt, ...unnoted } = state;
    const began = stage.host.clock.uptime();
    expect(await undo(stage, isNoted ? state : unnoted)).toBe(true);
    expect(Math.round((stage.host.clock.uptime() - began) / 1000)).toBe(seconds);
  });

  it('does not believe that ECS has no record while Docker runs a task of the node', async () => {
    const { stage, state } = drained();
    [stage.world.cluster.instances, stage.world.localAgent] = [[], undefined];
    stage.world.docker.containers.push({ name: 'web', imageId: 'app:1', state: 'running', taskArn: 'task-1' });
    await expect(undo(stage, state)).rejects.toThrow(Unavailable);
  });

  // The next agent would resume it.
  it('is forgotten where a full disk does not take the note', async () => {
    const { stage, state } = drained();
    stage.world.calls.fails('writeText', new Error('ENOSPC: no space left on device'));
    expect(await undo(stage, state)).toBe(true);
    expect(stage.world.machine.files.has(paths.departure)).toBe(false);
  });
});
