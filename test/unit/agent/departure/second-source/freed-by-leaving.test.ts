/** A node leaves for a full disk, and its own departure frees that disk. */

import { expect, it } from 'vitest';
import { someBalancer } from '../../../../fakes/cloud/balancers.ts';
import { configOf, setStage, type Stage } from '../../stage.ts';
import { minute, targetGroup } from './in-service.ts';

interface Case {
  targetGroups?: string[];
  /** The disk is free as soon as this is true. */
  isFreed?(stage: Stage): boolean;
  /** Called every five seconds. */
  act?: ((stage: Stage) => void) | undefined;
}

const lacksTasks = ({ world }: Stage) => world.cluster.tasks.every(({ lastStatus }) => lastStatus === 'STOPPED');

const waitsForTasks = (stage: Stage) => stage.departure()?.entered.tasks !== undefined;

function endTasks(stage: Stage): void {
  if (waitsForTasks(stage)) stage.world.cluster.tasks = [];
}

/** Leaves until the node has ended, or the departure is undone. */
async function leave({ targetGroups = [targetGroup], isFreed = lacksTasks, act }: Case) {
  const stage = setStage(configOf({ leave: { targetGroups, drainSeconds: 60 } }));
  const { world, own } = stage;
  world.balancers.targetGroups.set(targetGroup, someBalancer(1_000));
  world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: 20_000 });
  const agent = stage.agent();
  await world.clock.run(minute);
  stage.fillDisk(97);
  for (let n = 0; n < 1_000; n++) {
    if (world.instance.state !== 'running' || stage.departure()?.undoneAt !== undefined) break;
    await world.clock.run(5_000);
    act?.(stage);
    if (isFreed(stage)) stage.fillDisk(40);
  }
  await agent.stop();
  return { state: world.instance.state, status: own.status, deeds: stage.deeds() };
}

// It stayed ACTIVE for ever without its load balancers, and got tasks there.
it.each([
  ['end', endTasks],
  ['are stopped', undefined],
])('a node that has left its load balancers ends when its tasks %s and free the disk', async (_how, act) => {
  const { state, deeds } = await leave({ act });
  expect(deeds).toContain('deregisterTarget');
  expect(deeds.includes('stopTask')).toBe(act === undefined);
  expect(deeds).not.toContain('activate');
  expect(state).toBe('shutting-down');
});

it('a node without load balancers stays when its tasks free the disk', async () => {
  expect(await leave({ targetGroups: [] })).toMatchObject({ state: 'running', status: 'ACTIVE' });
});

it('a disk that is free before the tasks are stopped costs no task', async () => {
  const left = await leave({ isFreed: waitsForTasks });
  expect(left).toMatchObject({ state: 'running', status: 'ACTIVE' });
  expect(left.deeds).toContain('deregisterTarget');
  expect(left.deeds).not.toContain('stopTask');
});

it('a person still holds a node whose departure has freed its disk', async () => {
  const act = (stage: Stage) => {
    if (lacksTasks(stage)) stage.world.instance.tags['ecs-node:keep'] = 'please';
  };
  const left = await leave({ act });
  expect(left).toMatchObject({ state: 'running', status: 'ACTIVE' });
  expect(left.deeds).toContain('deregisterTarget');
});
