/** The ECS agent of a drained node has lost its state, and registers under another record. */

import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import { configOf, type Stage } from '../stage.ts';
import { ask, hour, inService, minute } from './in-service.ts';

function registerAnew({ world, own }: Stage) {
  own.agentConnected = false;
  const registeredAt = world.clock.now();
  const fresh = world.cluster.addInstance({ ec2InstanceId: world.identity.instanceId, registeredAt });
  world.localAgent = { cluster: 'demo', containerInstanceArn: fresh.arn, version: '1' };
  return fresh;
}

/** A person drained the node to look at it. */
async function drained() {
  const node = await inService();
  ask(node.stage, 'leave', false);
  await node.run(5 * minute);
  expect(node.stage.departure()).toMatchObject({ ending: 'remain', phase: 'done' });
  return node;
}

// The departure was over, and ECS placed tasks on the node that a person investigated.
describe('a node that a person drained is DRAINING, and ACTIVE after a stay, when its ECS agent registers anew', () => {
  it.each([
    ['at once', 0],
    ['while ECS is silent', 30],
  ])('%s', async (_when, failures) => {
    const { stage, run, agent } = await drained();
    const fresh = registerAnew(stage);
    if (failures > 0) stage.world.calls.fails('drain', new Unavailable('no answer'), failures);
    await run(30 * minute);
    expect(fresh.status).toBe('DRAINING');
    expect([...fresh.attributes.keys()]).toEqual(['ecs-node.leave.operator']);
    ask(stage, 'stay');
    await run(minute);
    expect([fresh.status, fresh.attributes.size]).toEqual(['ACTIVE', 0]);
    await agent.stop();
  });

  it('after a restart of the agent', async () => {
    const { stage, run, agent } = await drained();
    await agent.stop();
    const next = stage.agent(stage.world.restart());
    await run(minute);
    const fresh = registerAnew(stage);
    await run(minute);
    expect(fresh.status).toBe('DRAINING');
    ask(stage, 'stay');
    await run(minute);
    expect(fresh.status).toBe('ACTIVE');
    await next.stop();
  });
});

it('a node that remains drained looks for another record without a call to AWS', async () => {
  const { stage, run, agent } = await drained();
  const { calls } = stage.world;
  calls.list.length = 0;
  await run(hour);
  expect([...calls.of('ownsContainerInstance'), ...calls.of('drain')]).toEqual([]);
  await agent.stop();
});

describe('a node that is drained no longer stays ACTIVE when its ECS agent registers anew', () => {
  it('after a stay', async () => {
    const { stage, run, agent } = await drained();
    ask(stage, 'stay');
    await run(minute);
    const fresh = registerAnew(stage);
    await run(30 * minute);
    expect([stage.own.status, fresh.status]).toEqual(['ACTIVE', 'ACTIVE']);
    await agent.stop();
  });

  it('after the time of a rebalance', async () => {
    const { stage, run, agent } = await inService(configOf({ rebalance: { action: 'drain', undoSeconds: 600 } }));
    stage.world.metadata.rebalanceNotice = '2030-01-01T00:04:00Z';
    await run(5 * minute);
    expect(stage.own.status).toBe('DRAINING');
    await run(10 * minute);
    const fresh = registerAnew(stage);
    await run(30 * minute);
    expect([stage.own.status, fresh.status]).toEqual(['ACTIVE', 'ACTIVE']);
    await agent.stop();
  });
});

it('a node that a person drained leaves for good when the person asks for that', async () => {
  const { stage, agent } = await drained();
  ask(stage, 'leave');
  await stage.world.clock.finish(agent.done, hour);
  expect(stage.world.instance.state).toBe('shutting-down');
});
