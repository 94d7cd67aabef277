/** A node that reboots, whose check fails, and whose introspection port does not answer. */

import { expect, it } from 'vitest';
import { launched } from '../../joining/join/launched.ts';
import { bootedFirst, configOf } from '../../stage.ts';
import { inService, minute } from './in-service.ts';

const url = 'http://127.0.0.1:8080/healthz';

// The port may be closed to tasks. ECS alone was both sources then: it had said "connected" for ten
// minutes, and its next answers ended the node, or took it out of its load balancers.
it.each([
  ['it is not connected for 60 s, and its port is closed', 'closed', 'disconnected', minute],
  ['it is not connected for 15 s, and its port is closed', 'closed', 'disconnected', 15_000],
  ['it is not connected for 60 s, and its port is late once', 'late', 'disconnected', minute],
  ['it has no record for 60 s, and its port is closed', 'closed', 'gone', minute],
  ['it is connected, and its port is closed', 'closed', 'disconnected', 0],
] as const)('a node in service whose join check fails after a reboot stays when ECS says: %s', async (...row) => {
  const [, port, lie, ms] = row;
  const { stage, world, run, agent, harm } = await inService(
    { join: { checks: [{ url }], timeoutSeconds: 600 } },
    (s) => s.world.machine.probes.set(url, 200),
  );
  await agent.stop();
  const host = world.reboot();
  world.machine.probes.set(url, 503);
  world.calls.list.length = 0;
  if (port === 'closed') world.localAgent = undefined;
  const { readContainerInstance } = host.cloud;
  const { readAgent } = host.ecsAgent;
  const hasFailed = () => stage.status().join.state === 'failed';
  let until: number | undefined;
  host.cloud.readContainerInstance = async (...args) => {
    const truth = await readContainerInstance(...args);
    const isWrong = hasFailed() && world.clock.uptime() < (until ??= world.clock.uptime() + ms);
    if (truth === undefined || !isWrong) return truth;
    return lie === 'gone' ? undefined : { ...truth, agentConnected: false };
  };
  let late = port === 'late' ? 1 : 0;
  host.ecsAgent.readAgent = async (...args) => (hasFailed() && late-- > 0 ? undefined : readAgent(...args));
  const next = stage.agent(host);
  await run(15 * minute);
  expect(until).toBeDefined();
  world.machine.probes.set(url, 200);
  await run(5 * minute);
  expect(harm().filter((deed) => deed !== 'completeHook')).toEqual([]);
  await next.stop();
});

// A bad image must not wait: nodes would pass the storm guard meanwhile.
it.each([
  ['at its first boot', true, 30_000],
  ['after a reboot', false, 2 * minute],
])('a node that its group has in service, and that does not join, leaves %s', async (_what, isFirst, ms) => {
  const node = launched(configOf({ join: { timeoutSeconds: 60 } }), 1e9);
  if (isFirst) bootedFirst(node);
  node.group.lifecycleState = 'InService';
  const agent = node.agent();
  await node.world.clock.run(minute);
  while (node.status().join.state !== 'failed') await node.world.clock.run(1_000);
  await node.world.clock.run(ms);
  expect(node.deeds()).toContain('terminateInGroup');
  await agent.stop();
});
