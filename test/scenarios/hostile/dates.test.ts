/** The shipped binary, and dates that say something else than the time at which a thing happens. */

import { describe, vi } from 'vitest';
import { openRealClock } from '../../../simulator/clock.ts';
import { waitFor } from '../../../simulator/wait-for.ts';
import { scenario, type Scene } from '../scenario.ts';
import { settings, type Node } from '../stage.ts';

vi.setConfig({ testTimeout: 300_000 });

const day = 86_400_000;
const flags = settings({ 'maintenance.pollSeconds': 10 });
const scheduled = 'GET events/maintenance/scheduled';

/** The node has read its maintenance three times more, or has ended itself. */
async function readsMaintenance({ simulator }: Scene, node: Node): Promise<void> {
  const reads = () => simulator.calls.find({ operation: scheduled, instanceId: node.id, outcome: 'ok' }).length;
  const before = reads();
  await waitFor(
    'maintenance is read',
    () => reads() >= before + 3 || simulator.world.instances.get(node.id)?.state !== 'running',
    120_000,
  );
}

function expectUnharmed({ expect, simulator, placements }: Scene, node: Node): void {
  expect(node.calls().filter((call) => /:Terminate|SetInstanceHealth|StopTask/.test(call))).toEqual([]);
  expect(placements(node)).toEqual([]);
  expect(simulator.world.instances.get(node.id)?.state).toBe('running');
  expect(node.state()).toBe('InService');
}

describe('a node whose reboot by EC2 is weeks away lives when', () => {
  // Date.parse reads each as a day of the year 2001.
  for (const date of ['soon 1', '2001', '1 Jan 2001 00:00:00 GMT junk']) {
    scenario(`its metadata dates the reboot with "${date}"`, { flags }, async (scene) => {
      const { simulator } = scene;
      const node = await scene.launch();
      await scene.inService(node);
      await scene.logged(node, 'joined');
      const id = simulator.verbs.scheduleMaintenance(node.id, {
        code: 'system-reboot',
        notBefore: Date.now() + 14 * day,
      });
      const event = { EventId: id, Code: 'system-reboot', State: 'active', Description: 'x', NotBefore: date };
      simulator.faults.add({
        service: 'imds',
        operation: scheduled,
        effect: { kind: 'answer', body: JSON.stringify([event]) },
      });
      await readsMaintenance(scene, node);
      expectUnharmed(scene, node);
    });
  }

  let behindMs = 0;
  const real = openRealClock();
  const clock = { ...real, now: () => Date.now() - behindMs };
  scenario('its own clock jumps by 15 days', { flags, clock }, async (scene) => {
    const { simulator } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    await scene.logged(node, 'joined');
    // The clock of everything but this node: the same as a jump of the node's own.
    behindMs = 15 * day;
    simulator.verbs.scheduleMaintenance(node.id, { code: 'system-reboot', notBefore: clock.now() + 14 * day });
    await readsMaintenance(scene, node);
    expectUnharmed(scene, node);
  });
});
