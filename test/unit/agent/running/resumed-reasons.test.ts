/**
 * The node's own reason may be gone when its departure goes on in another process or boot. It is
 * asked again before anything that cannot be undone.
 */

import { expect, it } from 'vitest';
import { Refused, Unavailable } from '../../../../core/errors.ts';
import type { Host } from '../../../../core/host.ts';
import { configOf, type Stage } from '../stage.ts';
import { hour, inService, minute } from './in-service.ts';

/** The agent stops while the departure waits for a task. */
async function leavesFor(cause: string, trouble: (stage: Stage) => void) {
  const { stage, agent, run } = await inService(configOf({ leave: { drainSeconds: 7200 } }));
  stage.world.cluster.addTask(stage.own.arn, { group: 'family:batch', stopsAfterMs: 3 * hour });
  trouble(stage);
  for (let minutes = 0; minutes < 90 && stage.departure()?.confirmedAt === undefined; minutes++) await run(minute);
  expect(stage.departure()).toMatchObject({ cause, confirmedAt: expect.anything() });
  await agent.stop();
  stage.world.cluster.tasks.length = 0;
  return { stage, run };
}

/** The machine boots again: /run is empty, and the uptime begins anew. */
function reboot({ host, world }: Stage): Host {
  world.machine.bootId = 'boot-2';
  for (const path of [...world.machine.files.keys()].filter((each) => each.startsWith('/run/')))
    world.machine.files.delete(path);
  const before = host.clock.uptime();
  return { ...host, clock: { ...host.clock, uptime: () => host.clock.uptime() - before } };
}

const fillDisk = (stage: Stage) => stage.fillDisk(97);

// The node's own entry in the leave queue confirmed the old reason, and ended a node with space.
it.each(['restart', 'reboot'])('a node whose disk was freed before a %s stays', async (how) => {
  const { stage, run } = await leavesFor('disk', fillDisk);
  stage.fillDisk(20);
  const next = stage.agent(how === 'reboot' ? reboot(stage) : stage.host);
  await run(30 * minute);
  expect(stage.world.instance.state).toBe('running');
  expect(stage.own.status).toBe('ACTIVE');
  expect(stage.deregistered).toEqual([]);
  await next.stop();
});

it('a node whose disk cannot be measured after a restart stays drained', async () => {
  const { stage, run } = await leavesFor('disk', fillDisk);
  stage.world.machine.unmeasured.set('/var/lib/docker', 'the file system does not answer');
  stage.fillDisk(20);
  const next = stage.agent();
  await run(30 * minute);
  expect(stage.world.instance.state).toBe('running');
  expect(stage.deregistered).toEqual([]);
  await next.stop();
});

it('a node whose disk is still full after a reboot is replaced', async () => {
  const { stage, run } = await leavesFor('disk', fillDisk);
  const next = stage.agent(reboot(stage));
  await run(30 * minute);
  expect(stage.world.instance.state).not.toBe('running');
  await next.stop();
});

// ECS does not see the ECS agent of a machine that has just booted, and that confirmed the reason.
it('a node whose ECS agent connects a minute after a reboot stays', async () => {
  const { stage, run } = await leavesFor('ecs-agent', ({ own, world }) => {
    own.agentConnected = false;
    world.localAgent = undefined;
  });
  const next = stage.agent(reboot(stage));
  await run(minute);
  stage.own.agentConnected = true;
  stage.world.localAgent = { cluster: 'demo', containerInstanceArn: stage.own.arn, version: '1' };
  await run(30 * minute);
  expect(stage.world.instance.state).toBe('running');
  expect(stage.own.status).toBe('ACTIVE');
  await next.stop();
});

it.each(['restart', 'reboot'])('a node whose Docker answers after a %s stays, whatever ECS still says', async (how) => {
  const { stage, run } = await leavesFor('docker', ({ own, world }) => {
    world.docker.state = 'hung';
    own.runtimeHealth = 'IMPAIRED';
  });
  stage.world.docker.state = 'well';
  const next = stage.agent(how === 'reboot' ? reboot(stage) : stage.host);
  await run(30 * minute);
  expect(stage.world.instance.state).toBe('running');
  await next.stop();
});

// The end was noted as requested, and never happened: the healthy node stayed DRAINING for ever.
it.each([
  ['a restart', 'web'],
  ['a reboot', 'web'],
  ['a restart', undefined],
])('a node whose end AWS did not accept before %s stays when its disk is freed (group: %s)', async (how, group) => {
  const { stage, agent, run } = await inService(configOf());
  const { world } = stage;
  if (group === undefined) [world.group, world.metadata.targetState] = [undefined, undefined];
  const methods = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf'];
  for (const verb of methods) world.calls.fails(verb, new Unavailable('Rate exceeded'));
  fillDisk(stage);
  for (let minutes = 0; minutes < 90 && !stage.deeds().some((deed) => methods.includes(deed)); minutes++)
    await run(minute / 2);
  expect(stage.departure().irrevocable?.askedToEndAt).toBeDefined();
  await agent.stop();
  world.calls.heals();
  stage.fillDisk(20);
  const next = stage.agent(how === 'a reboot' ? reboot(stage) : stage.host);
  await run(30 * minute);
  expect(world.instance.state).toBe('running');
  expect(stage.own.status).toBe('ACTIVE');
  await next.stop();
});

it('a node in no group whose end EC2 has accepted before a restart does not become ACTIVE again', async () => {
  const { stage, agent, run } = await inService(configOf());
  const { world } = stage;
  [world.group, world.metadata.targetState] = [undefined, undefined];
  world.calls.losesAnswer('terminateSelf', new Unavailable('socket hang up'), 99);
  fillDisk(stage);
  for (let minutes = 0; minutes < 90 && !stage.deeds().includes('terminateSelf'); minutes++) await run(minute / 2);
  await agent.stop();
  world.calls.fails('readRunning', new Unavailable('the answer does not have this instance'));
  stage.fillDisk(20);
  const next = stage.agent();
  await run(30 * minute);
  expect(stage.own.status).toBe('DRAINING');
  await next.stop();
});

// EC2 still runs an instance whose terminate hook waits. The node became ACTIVE, and one whose
// bootstrap had failed registered anew, seconds before the group ended the machine. A refusal that
// lasts keeps no node DRAINING for ever.
it('a node whose group took its end, and which may not ask the group for a while, does not come back', async () => {
  const { stage, agent, run } = await inService(configOf());
  const { world } = stage;
  world.calls.fails('terminateInGroup', new Unavailable('Rate exceeded'));
  fillDisk(stage);
  for (let minutes = 0; minutes < 90 && !stage.deeds().includes('reportUnhealthy'); minutes++) await run(minute / 2);
  await agent.stop();
  world.calls.fails('readMembership', new Refused('not authorized'));
  stage.fillDisk(20);
  const next = stage.agent();
  await run(3 * minute);
  expect(stage.own.status).toBe('DRAINING');
  await run(10 * minute);
  expect(stage.own.status).toBe('ACTIVE');
  await next.stop();
});

// The entry in the leave queue is the only sign that this program has drained the node. One answer
// removed it, and the node stayed DRAINING for ever.
it('a node that drained itself for its disk comes back, although ECS says once that it is ACTIVE', async () => {
  const { stage, agent, run } = await inService();
  const { own, host, world } = stage;
  world.cluster.addTask(own.arn, { group: 'family:batch', stopsAfterMs: Infinity });
  fillDisk(stage);
  for (let seconds = 0; seconds < 300 && own.status !== 'DRAINING'; seconds += 5) await run(5_000);
  await agent.stop();
  const restartedAt = host.clock.uptime();
  let [lies, queueReadAt] = [0, -1];
  const cloud: Host['cloud'] = {
    ...host.cloud,
    readLeaveQueue: async (...all) => {
      const queue = await host.cloud.readLeaveQueue(...all);
      queueReadAt = host.clock.uptime();
      return queue;
    },
    readContainerInstance: async (...all) => {
      const record = await host.cloud.readContainerInstance(...all);
      const { uptime } = host.clock;
      if (record === undefined || lies > 0 || uptime() !== queueReadAt || uptime() < restartedAt + minute)
        return record;
      lies++;
      stage.fillDisk(20);
      return { ...record, status: 'ACTIVE' };
    },
  };
  const next = stage.agent({ ...host, cloud });
  await run(hour);
  expect(lies).toBe(1);
  expect(own.status).toBe('ACTIVE');
  await next.stop();
});
