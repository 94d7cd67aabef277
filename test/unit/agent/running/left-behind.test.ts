/** A node that is well again keeps neither DRAINING nor a mark on its record in ECS. */

import { describe, expect, it } from 'vitest';
import { Unavailable } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { configOf, setStage } from '../stage.ts';
import { hour, inService, minute } from './in-service.ts';

type Running = Awaited<ReturnType<typeof inService>>;

async function untilDraining({ stage, run }: Pick<Running, 'stage' | 'run'>): Promise<void> {
  for (let n = 0; n < 200 && stage.own.status !== 'DRAINING'; n++) await run(5_000);
  expect(stage.own.status).toBe('DRAINING');
}

describe('a restart of the agent on a node with a full disk', () => {
  it.each(['readLeaveQueue', 'readContainerInstance'] as const)(
    'leaves it ACTIVE, although ECS leaves it out once when the disk is free (%s)',
    async (verb) => {
      const stage = setStage(configOf());
      const { clock } = stage.world;
      const first = stage.agent();
      await clock.run(minute);
      if (verb === 'readContainerInstance') stage.world.localAgent = undefined;
      stage.fillDisk(95);
      await untilDraining({ stage, run: (ms) => clock.run(ms) });
      await first.stop();
      const host = stage.world.restart();
      stage.fillDisk(40);
      const began = clock.uptime();
      let lies = 0;
      const real = host.cloud[verb] as (...args: unknown[]) => Promise<unknown>;
      const lie = async (...args: unknown[]) => {
        const answer = await real(...args);
        const ms = clock.uptime() - began;
        const isWrong = verb === 'readLeaveQueue' ? args[1] === 'disk' && lies === 0 : ms > 90_000 && ms < 110_000;
        if (!isWrong) return answer;
        lies += 1;
        return verb === 'readLeaveQueue' ? [] : undefined;
      };
      const second = stage.agent({ ...host, cloud: { ...host.cloud, [verb]: lie } });
      await clock.run(hour);
      expect(lies).toBeGreaterThan(0);
      expect(stage.own.status).toBe('ACTIVE');
      expect(stage.own.attributes.size).toBe(0);
      await second.stop();
    },
  );
});

/** While `isBlind()`, ECS lists no record of this node, and the local ECS agent does not answer. */
function blind(host: Host, isBlind: () => boolean): Host {
  const { readContainerInstance } = host.cloud;
  const { readAgent } = host.ecsAgent;
  return {
    ...host,
    cloud: {
      ...host.cloud,
      readContainerInstance: async (...all) => (isBlind() ? undefined : readContainerInstance(...all)),
    },
    ecsAgent: { ...host.ecsAgent, readAgent: async (signal) => (isBlind() ? undefined : readAgent(signal)) },
  };
}

describe('a departure for one false word, whose draining was not noted', () => {
  it('leaves the node ACTIVE after a kill, although ECS lists no record for some seconds', async () => {
    const { stage, run } = await inService();
    const { world } = stage;
    world.calls.onCall = ({ verb }) => {
      if (verb === 'drain') world.calls.crashAt(1, 'after');
    };
    world.metadata.targetState = 'Terminated';
    await run(10_000);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).not.toHaveProperty('drainedAt');
    world.calls.onCall = undefined;
    world.metadata.targetState = 'InService';
    const blindUntil = world.clock.uptime() + 5_000;
    const agent = stage.agent(blind(world.restart(), () => world.clock.uptime() < blindUntil));
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });

  it('leaves the node ACTIVE after lost answers, although ECS lists no record for some seconds', async () => {
    const stage = setStage(configOf());
    const { world } = stage;
    let isBlind = false;
    const agent = stage.agent(blind(stage.host, () => isBlind));
    const run = (ms: number) => world.clock.run(ms);
    await run(minute);
    world.calls.losesAnswer('drain', new Unavailable('HTTP 503'));
    world.metadata.targetState = 'Terminated';
    await run(6_000);
    expect(stage.own.status).toBe('DRAINING');
    world.metadata.targetState = 'InService';
    isBlind = true;
    await run(15_000);
    isBlind = false;
    world.calls.heals();
    await run(5 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
  });
});

describe('an entry in the leave queue of an earlier boot', () => {
  // The record that joining read hid the entry, and nothing looked again.
  it.each(['disk', 'ecs-agent', 'docker'])('is given up (%s), although ECS hides it for minutes', async (reason) => {
    const stage = setStage(configOf());
    const { clock } = stage.world;
    if (reason === 'disk') stage.own.status = 'DRAINING';
    stage.own.attributes.set(`ecs-node.leave.${reason}`, '1');
    const { readContainerInstance, readLeaveQueue } = stage.host.cloud;
    const isBehind = () => clock.uptime() < began + 2 * minute;
    const began = clock.uptime();
    const cloud: Host['cloud'] = {
      ...stage.host.cloud,
      async readContainerInstance(...all) {
        const known = await readContainerInstance(...all);
        return known !== undefined && isBehind() ? { ...known, status: 'ACTIVE', queuedFor: [] } : known;
      },
      readLeaveQueue: async (...all) => (isBehind() ? [] : readLeaveQueue(...all)),
    };
    const agent = stage.agent({ ...stage.host, cloud });
    await clock.run(2 * minute);
    expect(stage.deeds()).toEqual([]);
    await clock.run(15 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await agent.stop();
  });
});

describe('the mark of a departure', () => {
  it('is removed when nothing followed, although the disk is full meanwhile', async () => {
    const rebalance = { action: 'drain', undoSeconds: 600 };
    const node = await inService(configOf({ rebalance, disk: { leave: false } }));
    const { stage, run, agent } = node;
    stage.fillDisk(95);
    await untilDraining(node);
    stage.world.metadata.rebalanceNotice = '2030-01-01T00:10:00Z';
    await run(5 * minute);
    expect([...stage.own.attributes.keys()].toSorted()).toEqual(['ecs-node.leave.disk', 'ecs-node.leave.rebalance']);
    await run(20 * minute);
    expect([...stage.own.attributes.keys()]).toEqual(['ecs-node.leave.disk']);
    stage.world.metadata.rebalanceNotice = undefined;
    stage.fillDisk(40);
    await run(hour);
    expect(stage.own.status).toBe('ACTIVE');
    expect(stage.own.attributes.size).toBe(0);
    await agent.stop();
  });
});
