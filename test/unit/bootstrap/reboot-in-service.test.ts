/** A node in service that reboots, while its registrar alone is wrong. */

import { expect, test } from 'vitest';
import { runBootstrap } from '../../../commands/node/bootstrap-command.ts';
import type { Config } from '../../../config/config.ts';
import type { Host } from '../../../core/host.ts';
import { opsworksConfig, plainConfig, signal } from './stage.ts';
import { openFakeHost } from '../../fakes/host.ts';

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
