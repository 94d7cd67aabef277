/** A disk that does not answer at the agent's start is no proof that no departure was under way. */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { paths } from '../../../../core/state/state.ts';
import { configOf } from '../stage.ts';
import { ask, hour, inService, minute, spotAt } from './in-service.ts';

/** For `ms`, the disk gives none of this program's files that outlive a boot, or not that one. */
function withSilentDisk(host: Host, ms: number, silent = '/var/lib/ecs-node'): Host {
  const { machine, clock } = host;
  const until = clock.uptime() + ms;
  const readText: typeof machine.readText = async (path) => {
    if (clock.uptime() < until && path.startsWith(silent)) throw new Unavailable(`${path}: EIO`);
    return machine.readText(path);
  };
  return { ...host, machine: { ...machine, readText } };
}

describe('a node whose disk does not answer when its agent starts', () => {
  // The metadata service alone said Terminated. That is over, and only the file tells of it.
  it.each([
    ['does not answer for 10 s, after a reboot', 10_000, 'reboot'],
    ['answers, after a reboot (control)', 0, 'reboot'],
    ['does not answer for 10 s, after a restart', 10_000, 'restart'],
  ] as const)('becomes ACTIVE again where its disk %s', async (_what, ms, how) => {
    const { stage, world, run, agent } = await drainedFalsely();
    await agent.stop();
    world.metadata.targetState = 'InService';
    const next = stage.agent(withSilentDisk(world[how](), ms));
    await run(10 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await next.stop();
  });

  // By the time of the read, its watcher has found the node well, and would not say so again.
  it.each([
    ['does not answer for a minute', minute],
    ['answers (control)', 0],
  ])('becomes ACTIVE again after a power-off for trouble that is over, where its disk %s', async (_what, ms) => {
    const { stage, run, agent } = await inService();
    const { world } = stage;
    [world.group, world.metadata.targetState] = [undefined, undefined];
    world.calls.fails('terminateSelf', new Refused('no', { code: 'UnauthorizedOperation' }));
    const { localAgent } = world;
    [stage.own.agentConnected, world.localAgent] = [false, undefined];
    await run(hour);
    expect(world.machine.power).toBe('off');
    expect(stage.departure()).toMatchObject({ cause: 'ecs-agent', phase: 'done' });
    expect(stage.own.status).toBe('DRAINING');
    await agent.stop();
    world.calls.heals();
    [stage.own.agentConnected, world.localAgent, world.machine.power] = [true, localAgent, 'on'];
    const next = stage.agent(withSilentDisk(world.reboot(), ms));
    await run(30 * minute);
    expect(stage.own.status).toBe('ACTIVE');
    await next.stop();
  });

  it('still obeys a spot interruption, where the disk stays silent', async () => {
    const { stage, world, run, agent } = await drainedFalsely();
    await agent.stop();
    world.metadata.targetState = 'InService';
    const next = stage.agent(withSilentDisk(world.reboot(), Infinity));
    await run(minute);
    stage.own.status = 'ACTIVE';
    world.metadata.spotNotice = spotAt(stage.host.clock.now() + 2 * minute);
    await run(minute / 2);
    expect(stage.own.status).toBe('DRAINING');
    expect(stage.departure()).toMatchObject({ cause: 'spot' });
    await next.stop();
  });

  // The departure of this process is the newest one, and the file of the earlier boot is over.
  it('goes on with a departure of its own that began meanwhile', async () => {
    const { stage, world, run, agent } = await drainedFalsely();
    await agent.stop();
    world.metadata.targetState = 'InService';
    const next = stage.agent(withSilentDisk(world.reboot(), minute));
    await run(10_000);
    world.metadata.spotNotice = spotAt(stage.host.clock.now() + 2 * minute);
    await run(90_000);
    expect(stage.departure()).toMatchObject({ cause: 'spot' });
    expect(stage.own.status).toBe('DRAINING');
    await next.stop();
  });
});

describe('a node whose person has called an event off before a reboot', () => {
  // Only the file says so after the reboot. The agent obeyed the event before the disk answered.
  it.each([
    ['a retirement', 'is not read for 40 s', 40_000],
    ['a retirement', 'is read (control)', 0],
    ['a rebalance recommendation', 'is not read for 40 s', 40_000],
    ['a rebalance recommendation', 'is read (control)', 0],
  ] as const)('is not drained again for %s where its departure %s', async (event, _what, ms) => {
    const { stage, world, run, agent } = await inServiceWith(event);
    await run(3 * minute);
    expect(stage.own.status).toBe('DRAINING');
    ask(stage, 'stay');
    await run(minute);
    expect(stage.own.status).toBe('ACTIVE');
    await agent.stop();
    world.calls.list.length = 0;
    const next = stage.agent(withSilentDisk(world.reboot(), ms, paths.departure));
    await run(hour);
    expect(stage.deeds()).not.toContain('drain');
    await next.stop();
  });

  it.each(['a retirement', 'a rebalance recommendation'] as const)(
    'obeys %s in the end where its departure is never read',
    async (event) => {
      const { stage, world, run, agent } = await inServiceWith(event);
      await agent.stop();
      const next = stage.agent(withSilentDisk(world.reboot(), Infinity, paths.departure));
      await run(4 * minute);
      expect(stage.own.status).toBe('DRAINING');
      await next.stop();
    },
  );
});

/** The event is announced, and a task does not stop. */
async function inServiceWith(event: 'a retirement' | 'a rebalance recommendation') {
  const { stage, run, agent } = await inService(configOf({ rebalance: { action: 'drain' } }));
  const { world } = stage;
  world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  const notBefore = world.clock.now() + 24 * hour;
  const retirement = {
    id: 'event-1',
    code: 'instance-retirement',
    state: 'active',
    notBefore,
    description: '',
  } as const;
  if (event === 'a retirement') world.metadata.maintenance = [retirement];
  else world.metadata.rebalanceNotice = '2026-12-03T08:00:00Z';
  return { stage, world, run, agent };
}

/** A node that drains because the metadata service alone says Terminated. */
async function drainedFalsely() {
  const { stage, run, agent } = await inService();
  const { world } = stage;
  world.metadata.targetState = 'Terminated';
  while (stage.own.status === 'ACTIVE') await run(500);
  expect(stage.departure()).not.toHaveProperty('confirmedAt');
  return { stage, world, run, agent };
}
