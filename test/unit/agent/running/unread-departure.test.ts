/** A disk that does not answer at the agent's start is no proof that no departure was under way. */

import { describe, expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { hour, inService, minute, spotAt } from './in-service.ts';

/** For `ms`, the disk gives none of this program's files that outlive a boot. */
function withSilentDisk(host: Host, ms: number): Host {
  const { machine, clock } = host;
  const until = clock.uptime() + ms;
  const readText: typeof machine.readText = async (path) => {
    if (clock.uptime() < until && path.startsWith('/var/lib/ecs-node')) throw new Unavailable(`${path}: EIO`);
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

/** A node that drains because the metadata service alone says Terminated. */
async function drainedFalsely() {
  const { stage, run, agent } = await inService();
  const { world } = stage;
  world.metadata.targetState = 'Terminated';
  while (stage.own.status === 'ACTIVE') await run(500);
  expect(stage.departure()).not.toHaveProperty('confirmedAt');
  return { stage, world, run, agent };
}
