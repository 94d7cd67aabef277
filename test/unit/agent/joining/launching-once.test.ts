/** A node in service reboots in an outage of ECS, and Auto Scaling says "Pending". */

import { expect, it } from 'vitest';
import type { KnownFacts } from '../../../../agent/known-facts.ts';
import { mayTerminate as askStormGuard } from '../../../../commands/node/join-failure.ts';
import { busy, deadly, hour, inService } from '../departure/second-source/in-service.ts';

// ECS says "not connected" in the outage, so Auto Scaling alone ended the node with its tasks.
it.each([
  ['never (control)', 0],
  ['once, when it gives up joining', 1],
])(
  'a node in service that reboots in an outage of ECS stays where Auto Scaling says Pending %s',
  async (_how, lies) => {
    const { stage, world, run, agent } = await inService({}, busy);
    const others = Array.from({ length: 9 }, () => world.cluster.addInstance({ agentConnected: true }));
    await agent.stop();
    const host = world.reboot();
    for (const each of [stage.own, ...others]) each.agentConnected = false;
    world.localAgent = undefined;
    world.calls.list.length = 0;
    let told = 0;
    const { readMembership } = host.cloud;
    const lying = {
      ...host,
      cloud: {
        ...host.cloud,
        async readMembership(...args: Parameters<typeof readMembership>) {
          const answer = await readMembership(...args);
          const isTime = told < lies && world.log.some(({ message }) => message === 'cannot join');
          if (answer === undefined || !isTime) return answer;
          told += 1;
          return { ...answer, lifecycleState: 'Pending' };
        },
      },
    };
    const mayTerminate = (signal: AbortSignal, knownFacts: KnownFacts) =>
      askStormGuard(lying, stage.config, signal, knownFacts);
    const next = stage.agent(lying, { mayTerminate });
    await run(2 * hour);
    expect(told).toBe(lies);
    expect(stage.deeds().filter((deed) => [...deadly, 'drain', 'stopTask'].includes(deed))).toEqual([]);
    expect(world.instance.state).toBe('running');
    await next.stop();
  },
);
