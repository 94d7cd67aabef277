/** An outage of ECS's agent service: every node of the cluster is disconnected. */

import { describe, expect, it } from 'vitest';
import { busy, deadly, hour, inService, minute } from '../departure/second-source/in-service.ts';

const lethal = [...deadly, 'stopTask'];

// ECS says "not connected" of each node, so it confirmed a trouble that was mended.
describe('a node that leaves for its dead ECS agent, which is mended in an outage of ECS', () => {
  it.each([
    ['by a reboot (control: without an outage)', 'reboot', false],
    ['by a reboot', 'reboot', true],
    ['by a restart', 'restart', true],
    ['by itself (control: without an outage)', 'no', false],
    ['by itself', 'no', true],
  ])('stays with its tasks: %s', async (_how, how, isOutage) => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 3600 } }, busy);
    const others = Array.from({ length: 9 }, () => world.cluster.addInstance({ agentConnected: true }));
    const local = world.localAgent;
    world.localAgent = undefined;
    stage.own.agentConnected = false;
    for (let n = 0; n < 120 && stage.departure()?.phase !== 'tasks'; n++) await run(minute);
    await agent.stop();
    const next = how === 'no' ? stage.agent() : stage.agent(how === 'reboot' ? world.reboot() : world.restart());
    if (isOutage) for (const each of others) each.agentConnected = false;
    else stage.own.agentConnected = true;
    world.localAgent = local;
    world.calls.list.length = 0;
    await run(2 * hour);
    expect(stage.deeds().filter((deed) => lethal.includes(deed))).toEqual([]);
    for (const each of [stage.own, ...others]) each.agentConnected = true;
    await run(10 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await next.stop();
  });

  it('ends all the same where its ECS agent is still dead', async () => {
    const { stage, world, run, agent } = await inService({ leave: { drainSeconds: 3600 } }, busy);
    const others = Array.from({ length: 9 }, () => world.cluster.addInstance({ agentConnected: true }));
    world.localAgent = undefined;
    stage.own.agentConnected = false;
    for (let n = 0; n < 120 && stage.departure()?.phase !== 'tasks'; n++) await run(minute);
    for (const each of others) each.agentConnected = false;
    await run(2 * hour);
    expect(world.instance.state).not.toBe('running');
    await agent.stop();
  });
});

// "Disconnected" counted as the second source for a dead Docker, and a restart ends the containers.
it.each([
  ['not restarted in an outage of ECS', true, []],
  ['restarted where only this node is disconnected (control)', false, ['docker.service']],
])('a Docker that is silent for some minutes is %s', async (_what, isOutage, restarted) => {
  const { stage, world, run, agent } = await inService({ ecsAgent: { action: 'log' } }, busy);
  const others = Array.from({ length: 9 }, () => world.cluster.addInstance({ agentConnected: true }));
  for (const each of isOutage ? [stage.own, ...others] : [stage.own]) each.agentConnected = false;
  world.localAgent = undefined;
  await run(10 * minute);
  world.docker.state = 'hung';
  await run(9 * minute);
  world.docker.state = 'well';
  expect(world.machine.restarted).toEqual(restarted);
  await agent.stop();
});
