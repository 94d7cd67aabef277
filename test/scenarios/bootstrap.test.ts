import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from 'vitest';
import { plan } from '../../bootstrap/plan.ts';
import { parseConfig } from '../../config/config.ts';
import { paths } from '../../core/state/state.ts';
import { scenario, type Scene } from './scenario.ts';
import { layerId, stackId } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { group, opsworks, settings, type Node } from './stage.ts';

const registrations = ({ simulator }: Scene) => [...simulator.world.registrations.values()];
const alive = ({ simulator }: Scene, node: Node) => simulator.world.instances.get(node.id)?.state === 'running';

/** With these settings, no step of the plan is left out. */
const withEveryStep = [...opsworks, ...settings({ 'containerEnvironment.enabled': true })];

const steps = plan(
  parseConfig({
    cluster: 'demo',
    registrar: 'opsworks',
    opsworks: { stack: stackId, layer: layerId },
    containerEnvironment: { enabled: true },
  }),
).map(({ name }) => name);

describe.concurrent('a bootstrap that is killed (-9) and run again ends as one that was not, at', () => {
  for (const step of steps) {
    scenario(step, { flags: withEveryStep, hooks: false }, async (scene) => {
      const { expect, simulator } = scene;
      let killed = false;
      const node = await scene.launch();
      const kill = setInterval(() => {
        if (killed || !node.log.some((line) => line.message === 'step started' && line['step'] === step)) return;
        killed = true;
        node.kill();
      }, 1);
      await node.booted;
      clearInterval(kill);
      expect(killed).toBe(true);
      expect(await node.boot()).toBe(0);
      const config = (await node.read('etc/ecs/ecs.config'))!;
      expect(config.match(/^ECS_CLUSTER=demo$/gm)).toHaveLength(1);
      expect(registrations(scene)).toHaveLength(1);
      await waitFor('online', () => registrations(scene)[0]?.status === 'online');
      expect(simulator.world.instances.get(node.id)!.disableApiTermination).toBe(false);
    });
  }
});

describe.concurrent('a bootstrap', () => {
  // Both ran the installer, and OpsWorks had two records of one instance.
  scenario(
    "waits for systemd's when a person runs it, and neither registers twice",
    { flags: opsworks, boots: false },
    async (scene) => {
      const { expect, simulator } = scene;
      simulator.faults.add({
        service: 'opsworks',
        operation: 'RegisterInstance',
        effect: { kind: 'latency', ms: 8_000 },
      });
      const node = await scene.launch();
      const booted = node.boot();
      await waitFor('registering', () => node.log.some((line) => line['step'] === 'register'));
      const byHand = await node.run(['bootstrap']);
      expect(byHand.stderr).toMatch(/waiting for another bootstrap of this node to end/);
      expect([byHand.code, await booted]).toEqual([0, 0]);
      expect(node.calls().filter((call) => call === 'opsworks:RegisterInstance')).toHaveLength(1);
      expect(registrations(scene)).toHaveLength(1);
      expect(await readdir(join(node.root, paths.bootstraps))).toEqual([]);
    },
  );

  scenario(
    'without a registration in OpsWorks leaves no record, gives the reason, and the node is replaced',
    {
      flags: [...opsworks, ...settings({ 'bootstrap.timeoutSeconds': 30 })],
      settings: { opsworks: { registersAs: 'never' } },
    },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await scene.launch();
      // The machine may end under the process before it has ended itself.
      expect([77, 137]).toContain(await node.booted);
      await scene.gone(node);
      expect(registrations(scene).filter(({ instanceId }) => instanceId === node.id)).toEqual([]);
      expect(simulator.world.instances.get(node.id)!.tags.get('ecs-node:left')).toMatch(/^bootstrap-failed/);
      expect(await node.read('var/lib/ecs-node/bootstrap.json')).toContain('"outcome": "failed"');
      await scene.nth(2);
    },
  );

  scenario(
    'that AWS throttles or ignores never ends the node',
    {
      flags: [...opsworks, ...settings({ 'bootstrap.timeoutSeconds': 30 })],
      boots: false,
    },
    async (scene) => {
      const { expect, simulator } = scene;
      simulator.faults.add({ service: 'opsworks', effect: { kind: 'throttle' } });
      const node = await scene.launch();
      expect(await node.boot()).toBe(75);
      expect(alive(scene, node)).toBe(true);
      expect(node.calls().filter((call) => /Terminate|SetInstanceHealth/.test(call))).toEqual([]);
    },
  );

  scenario(
    'waits, in a group whose new nodes fail, instead of terminating',
    {
      flags: [
        ...opsworks,
        ...settings({
          'bootstrap.timeoutSeconds': 30,
          'stormGuard.maxFailures': 1,
          'stormGuard.firstWaitSeconds': 10,
        }),
      ],
      settings: { opsworks: { registersAs: 'setup_failed' } },
    },
    async (scene) => {
      const { expect, simulator } = scene;
      const first = await scene.launch();
      await first.booted;
      await scene.gone(first);
      const second = await scene.nth(2);
      await scene.logged(second, 'held by the storm guard');
      expect(alive(scene, second)).toBe(true);
      const held = () => simulator.world.metrics.filter(({ name }) => name === 'BootstrapHeld');
      await waitFor('the metric', () => held().some(({ dimensions }) => dimensions['AutoScalingGroupName'] === group));
    },
  );
});
