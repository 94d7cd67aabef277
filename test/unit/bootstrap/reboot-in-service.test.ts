/** A node in service that reboots, while its registrar alone is wrong. */

import { expect, test } from 'vitest';
import { runBootstrap } from '../../../commands/node/bootstrap-command.ts';
import type { Config } from '../../../config/config.ts';
import type { Host } from '../../../core/host.ts';
import { paths } from '../../../core/state/state.ts';
import { opsworksConfig, plainConfig, signal } from './stage.ts';
import { openFakeHost } from '../../fakes/host.ts';

const minute = 60_000;
const ends = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'];

/** OpsWorks alone shows the record for `ms` as it was before its first assignment. */
function showingOldRecord(host: Host, ms: number): Host {
  let until: number | undefined;
  const { cloud, clock } = host;
  return {
    ...host,
    cloud: {
      ...cloud,
      async readRegistration(...args) {
        const truth = await cloud.readRegistration(...args);
        const isOld = truth !== undefined && clock.uptime() < (until ??= clock.uptime() + ms);
        return isOld ? { ...truth, status: 'registered', layerIds: [] } : truth;
      },
    },
  };
}

/** The node has served for a month. Its machine has booted, and its ECS agent does not run yet. */
async function rebooted(config: Config) {
  const { host, world, clock } = openFakeHost();
  world.joinGroup();
  world.systemsManager.ping = 'Online';
  await clock.finish(runBootstrap(host, config, signal));
  const own = world.joinCluster();
  world.metadata.targetState = 'InService';
  await clock.run(30 * 24 * 3_600_000);
  own.agentConnected = false;
  world.localAgent = undefined;
  return { world, clock, host: world.reboot() };
}

// The bootstrap runs before the ECS agent starts, so ECS said "not connected" of each healthy node.
// With OpsWorks' older answer, that ended a node which had served for months.
test.each([
  ['shows an older state of its record for 30 s', 30_000],
  ['shows its record', 0],
])('a node in service that reboots is not ended when OpsWorks %s', async (_what, ms) => {
  const config = opsworksConfig();
  const { host, world, clock } = await rebooted(config);
  await clock.finish(runBootstrap(showingOldRecord(host, ms), config, signal).catch(() => {}));
  expect(world.calls.verbs().filter((verb) => ends.includes(verb))).toEqual([]);
  expect(world.instance.state).toBe('running');
});

// The same with an outage of Systems Manager, which does not hear of this node's agent.
test.each([
  ['does not see it for 12 minutes', 720_000],
  ['sees it', 0],
])('a node in service that reboots is not ended when Systems Manager alone %s', async (_what, ms) => {
  const config = plainConfig({ registrar: 'ssm', registration: { required: true } });
  const { host, world, clock } = await rebooted(config);
  if (ms > 0) world.systemsManager.ping = 'ConnectionLost';
  clock.schedule(ms, () => void (world.systemsManager.ping = 'Online'));
  await clock.finish(runBootstrap(host, config, signal).catch(() => {}));
  expect(world.calls.verbs().filter((verb) => ends.includes(verb))).toEqual([]);
  expect(world.instance.state).toBe('running');
});

/** Auto Scaling names the state at the launch while `isWrong`. */
function launching(cloud: Host['cloud'], isWrong: () => boolean): Host['cloud'] {
  return {
    ...cloud,
    async readMembership(...args) {
      const truth = await cloud.readMembership(...args);
      return truth !== undefined && isWrong() ? { ...truth, lifecycleState: 'Pending:Wait' } : truth;
    },
  };
}

/** ECS does not list the record of the node while `isWrong`. */
function unlisted(cloud: Host['cloud'], isWrong: () => boolean): Host['cloud'] {
  const { readContainerInstance } = cloud;
  return {
    ...cloud,
    readContainerInstance: async (...args) => (isWrong() ? undefined : readContainerInstance(...args)),
  };
}

/**
 * Its bootstrap fails for 11 minutes. When the node then leaves, one source is wrong for `ms` from
 * its first answer on.
 */
async function failsBootstrap(lying: typeof launching, ms: number) {
  const config = plainConfig({ registrar: 'ssm', registration: { required: true } });
  const { host, world, clock } = await rebooted(config);
  world.systemsManager.ping = 'ConnectionLost';
  world.calls.list.length = 0;
  let until: number | undefined;
  const isWrong = () => world.machine.files.has(paths.departure) && clock.uptime() < (until ??= clock.uptime() + ms);
  const controller = new AbortController();
  const done = runBootstrap({ ...host, cloud: lying(host.cloud, isWrong) }, config, controller.signal);
  done.catch(() => {});
  await clock.run(60 * minute);
  const began = until! - ms;
  expect(began).toBeGreaterThan(0);
  controller.abort(new Error('stop'));
  await clock.run(minute);
  return { world, began };
}

// One wrong answer of either source agreed at once, or within 30 s, and ended the node.
test.each([
  ['Auto Scaling names the state of the launch for 2 s', launching, 2_000],
  ['Auto Scaling names the state of the launch for 60 s', launching, minute],
  ['Auto Scaling names its state', launching, 0],
  ['ECS does not list its record for 60 s', unlisted, minute],
  ['ECS lists its record', unlisted, 0],
])('a node in service whose bootstrap fails at a reboot is not ended when %s', async (_what, lying, ms) => {
  const { world } = await failsBootstrap(lying, ms);
  expect(world.calls.verbs().filter((verb) => ends.includes(verb))).toEqual([]);
  expect(world.instance.state).toBe('running');
});

// A node that came back from its warm pool, or whose record is gone, is not in service.
test.each([
  ['its group launches it', launching],
  ['ECS has no record of it', unlisted],
])('a node whose bootstrap fails at a reboot is ended when %s', async (_what, lying) => {
  const { world, began } = await failsBootstrap(lying, 24 * 60 * minute);
  const [ended] = world.calls.of('terminateInGroup');
  expect(ended!.at - began).toBeLessThan(2 * minute);
});
