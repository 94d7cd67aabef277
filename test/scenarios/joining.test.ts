import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe } from 'vitest';
import { paths } from '../../core/state/state.ts';
import { scenario, type Scene } from './scenario.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { group, launchHook, opsworks, settings, terminateHook, type Node } from './stage.ts';

const hooks = [
  { name: launchHook, transition: 'launch' },
  { name: terminateHook, transition: 'terminate' },
] as const;

const completions = ({ simulator }: Scene, node: Node) =>
  simulator.calls
    .find({ operation: 'CompleteLifecycleAction', instanceId: node.id, outcome: 'ok' })
    .map(({ params }) => [params['LifecycleHookName'], params['LifecycleActionResult']]);

const instance = ({ simulator }: Scene, node: Node) => simulator.world.instances.get(node.id)!;
const hasJoined = (node: Node) => node.log.some(({ message }) => message === 'joined');
const program = (script: string) => `#!/bin/sh\n${script}\n`;

describe.concurrent('a node of a warm pool', () => {
  for (const state of ['Running', 'Stopped'] as const) {
    scenario(
      `that waits there ${state.toLowerCase()} joins when it is taken out, and not before`,
      { groups: [{ name: group, hooks, warmPool: { size: 1, state } }] },
      async (scene) => {
        const { expect, simulator } = scene;
        const node = await scene.nth(1);
        await waitFor('in the pool', () => node.state() === `Warmed:${state}`);
        expect(completions(scene, node)).toEqual([[launchHook, 'CONTINUE']]);
        if (state === 'Stopped') await waitFor('stopped', () => instance(scene, node).state === 'stopped');
        else await waitFor('known', async () => (await node.read(paths.agent))?.includes('"state": "in warm pool"'));
        expect(hasJoined(node)).toBe(false);
        simulator.verbs.setDesiredCapacity(group, 1);
        await scene.inService(node);
        await scene.logged(node, 'joined');
        expect(completions(scene, node)).toEqual([
          [launchHook, 'CONTINUE'],
          [launchHook, 'CONTINUE'],
        ]);
        expect(scene.placements(node)).toEqual([]);
      },
    );
  }

  scenario(
    'returns to it on scale-in, and completes its terminate hook there',
    { groups: [{ name: group, hooks, warmPool: { size: 0, state: 'Running', reuse: true } }] },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await scene.launch();
      await scene.logged(node, 'joined');
      simulator.verbs.setDesiredCapacity(group, 0);
      await waitFor('in the pool', () => node.state() === 'Warmed:Running');
      expect(completions(scene, node)).toEqual([
        [launchHook, 'CONTINUE'],
        [terminateHook, 'CONTINUE'],
      ]);
    },
  );
});

describe.concurrent('a node outside its capacity provider', () => {
  scenario('registers anew once, and is in it, as status and doctor say', {}, async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    await scene.logged(node, 'joined');
    simulator.verbs.createCapacityProvider('demo', 'nodes', group);
    const { byInstance } = simulator.world.clusters.get('demo')!;
    const before = byInstance.get(node.id)!;
    expect(before.capacityProvider).toBeUndefined();
    expect((await node.run(['doctor'])).stdout).toMatch(/WRONG +capacity provider.*outside nodes/);
    await waitFor('in it', () => byInstance.get(node.id)?.capacityProvider === 'nodes', 240_000);
    await waitFor('over', async () => (await node.read(paths.registration))?.includes('"stage": "over"'));
    expect(before.status).toBe('INACTIVE');
    expect(byInstance.get(node.id)).toMatchObject({ status: 'ACTIVE', agentConnected: true });
    expect((await node.run(['status'])).stdout).toContain('capacity provider nodes');
    expect((await node.run(['doctor'])).stdout).toMatch(/ok +capacity provider.*in nodes/);
    const deregistered = { operation: 'DeregisterContainerInstance', instanceId: node.id, outcome: 'ok' };
    // The doctor's own tries are refused.
    expect(simulator.calls.find(deregistered)).toHaveLength(1);
    expect(node.state()).toBe('InService');
  });
});

describe.concurrent('doctor', () => {
  // Each try that needs the group's name first was blamed on the action that it tries.
  scenario('blames a denied look at the group on no other action', { groups: [{ name: group }] }, async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    await scene.logged(node, 'joined');
    const denied = { kind: 'error', code: 'AccessDenied', status: 403 } as const;
    simulator.faults.add({ operation: 'DescribeAutoScalingInstances', effect: denied });
    const { stdout } = await node.run(['doctor']);
    expect(stdout).toMatch(/WRONG +permission: autoscaling:DescribeAutoScalingInstances is denied/);
    expect(stdout).toMatch(/autoscaling:CompleteLifecycleAction: cannot be tried/);
    expect(stdout.match(/autoscaling:\w+ is denied/g)).toHaveLength(1);
  });
});

describe.concurrent('a launch hook', () => {
  scenario(
    'delays nothing while it does not exist, and is completed by nodes that are launched with it',
    { groups: [{ name: group }] },
    async (scene) => {
      const { expect, simulator } = scene;
      const first = await scene.launch();
      await scene.logged(first, 'joined');
      expect(first.state()).toBe('InService');
      simulator.verbs.putHook(group, hooks[0]);
      simulator.verbs.setDesiredCapacity(group, 2);
      const second = await scene.nth(2);
      await scene.inService(second);
      expect(completions(scene, first)).toEqual([]);
      expect(completions(scene, second)).toEqual([[launchHook, 'CONTINUE']]);
    },
  );

  scenario(
    'is shown in the status while the role may not complete it, and completed once the role may',
    {},
    async (scene) => {
      const { expect, simulator } = scene;
      const denied = { kind: 'error', code: 'AccessDenied', status: 403 } as const;
      const heal = simulator.faults.add({ operation: 'CompleteLifecycleAction', effect: denied });
      const node = await scene.launch();
      await scene.logged(node, 'launch hook not completed');
      const status = async () => (await node.run(['status'])).stdout;
      await waitFor('said', async () => /joining.*CompleteLifecycleAction.*is not allowed/.test(await status()));
      expect(node.state()).toBe('Pending:Wait');
      expect(hasJoined(node)).toBe(false);
      heal();
      await waitFor('in service', () => node.state() === 'InService', 90_000);
      await scene.logged(node, 'joined');
      expect(completions(scene, node)).toEqual([[launchHook, 'CONTINUE']]);
    },
  );

  scenario(
    'is completed once its misspelt name in the configuration is corrected',
    { hooks: false, groups: [{ name: group, hooks }], flags: settings({ 'autoScaling.launchHook': 'ecs-node-lanch' }) },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await scene.logged(node, 'launch hook not completed');
      const status = async () => (await node.run(['status'])).stdout;
      await waitFor('said', async () => /joining.*has no launch hook ecs-node-lanch/.test(await status()));
      expect(node.state()).toBe('Pending:Wait');
      await node.run(['configure', ...settings({ 'autoScaling.launchHook': launchHook })]);
      node.process?.kill('SIGHUP');
      await waitFor('in service', () => node.state() === 'InService', 90_000);
      expect(completions(scene, node)).toEqual([[launchHook, 'CONTINUE']]);
    },
  );

  scenario(
    'is shown while nothing names it, and completed once the configuration does',
    { hooks: false, groups: [{ name: group, hooks: [{ name: 'our-own-launch', transition: 'launch' }] }] },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await scene.logged(node, 'joined');
      const status = async () => (await node.run(['status'])).stdout;
      await waitFor('said', async () => /launch hook not completed .*waits for our-own-launch/.test(await status()));
      expect(node.state()).toBe('Pending:Wait');
      await node.run(['configure', ...settings({ 'autoScaling.launchHook': 'our-own-launch' })]);
      node.process?.kill('SIGHUP');
      await waitFor('in service', () => node.state() === 'InService', 90_000);
      expect(completions(scene, node)).toEqual([['our-own-launch', 'CONTINUE']]);
    },
  );

  scenario(
    'is completed under its documented name when nothing is configured',
    { hooks: false, groups: [{ name: group, hooks }] },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await scene.inService(node);
      expect(completions(scene, node)).toEqual([[launchHook, 'CONTINUE']]);
    },
  );

  scenario(
    'of another program is waited for and not touched',
    { groups: [{ name: group, hooks: [{ name: 'theirs', transition: 'launch', completesAfterMs: 20_000 }] }] },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      await scene.logged(node, 'joined');
      await scene.inService(node);
      expect(completions(scene, node)).toEqual([]);
    },
  );

  scenario(
    'stays alive while a join check fails, for longer than its own timeout',
    {
      // The shortest that Auto Scaling knows.
      groups: [{ name: group, hooks: [{ ...hooks[0], heartbeatSeconds: 30 }] }],
      prepare: (node) => checkWith(node, '- command: [/opt/check]'),
    },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await scene.launch();
      await waitFor('waiting', () => node.state() === 'Pending:Wait');
      const beats = () => simulator.calls.find({ operation: 'RecordLifecycleActionHeartbeat', outcome: 'ok' });
      await waitFor('two heartbeats', () => beats().length >= 2, 60_000);
      await new Promise((resolve) => setTimeout(resolve, 16_000));
      expect(node.state()).toBe('Pending:Wait');
      await node.write('opt/ready', '');
      await scene.inService(node);
    },
  );

  scenario(
    'stays alive during a bootstrap that takes longer than its timeout',
    {
      flags: opsworks,
      groups: [{ name: group, hooks: [{ ...hooks[0], heartbeatSeconds: 30 }] }],
      settings: { opsworks: { registeringMs: 40_000 } },
    },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      expect(await node.booted).toBe(0);
      await scene.inService(node);
      expect(completions(scene, node)).toEqual([[launchHook, 'CONTINUE']]);
    },
  );

  scenario(
    'is abandoned when the bootstrap fails for good',
    { flags: opsworks, settings: { opsworks: { registersAs: 'setup_failed' } } },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      // The machine may end under the process before it has ended itself.
      expect([77, 137]).toContain(await node.booted);
      await scene.gone(node);
      expect(completions(scene, node)).toContainEqual([launchHook, 'ABANDON']);
      expect(node.calls()).not.toContain('autoscaling:TerminateInstanceInAutoScalingGroup');
      await scene.nth(2);
    },
  );
});

/** Both kinds of check; the command passes when /opt/ready is there. */
async function checkWith(node: Node, checks: string): Promise<void> {
  await node.write('opt/check', program(`test -e '${node.root}/opt/ready'`), 0o755);
  await node.write(`${paths.dropIns}/50-checks.yaml`, `join:\n  checks:\n    ${checks.replaceAll('\n', '\n    ')}\n`);
}

describe.concurrent('a join check', () => {
  let server: Server | undefined;
  let status = 503;

  scenario(
    'delays the launch hook until it passes, as a command and as an HTTP request',
    {
      async prepare(node) {
        server = createServer((_request, response) => void response.writeHead(status).end());
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        const { port } = server.address() as AddressInfo;
        await checkWith(node, `- command: [/opt/check]\n- url: http://127.0.0.1:${port}/health`);
      },
    },
    async (scene) => {
      const { expect } = scene;
      const node = await scene.launch();
      const missing = (words: string) => () => node.log.some((line) => String(line['missing']).includes(words));
      try {
        await waitFor('the command fails', missing('/opt/check ended with 1'));
        expect(node.state()).toBe('Pending:Wait');
        await node.write('opt/ready', '');
        await waitFor('the URL fails', missing('/health answered 503'));
        expect(node.state()).toBe('Pending:Wait');
        expect(completions(scene, node)).toEqual([]);
        status = 200;
        await scene.inService(node);
      } finally {
        server?.close();
      }
    },
  );
});

scenario(
  'a node whose ECS agent is in the other cluster of a copied image abandons its launch and says so',
  { clusters: ['other', 'demo'], boots: false },
  async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    simulator.verbs.startEcsAgent(node.id, 'other');
    await waitFor('there', () => simulator.world.clusters.get('other')!.containerInstances.size > 0);
    await node.boot();
    await scene.gone(node);
    expect(instance(scene, node).tags.get('ecs-node:left')).toMatch(
      /^join-failed: the ECS agent is in the cluster other, not in demo/,
    );
    expect(completions(scene, node)).toContainEqual([launchHook, 'ABANDON']);
  },
);

scenario(
  'a node whose cluster is made after its ECS agent has given up joins it',
  { clusters: ['other'], flags: settings({ 'join.timeoutSeconds': 300 }) },
  async (scene) => {
    const { simulator } = scene;
    const node = await scene.launch();
    await waitFor('the agent runs', () => node.log.some(({ message }) => message === 'agent started'));
    simulator.verbs.createCluster('demo');
    await waitFor('in service', () => node.state() === 'InService', 100_000);
  },
);

const occasions = ['joined', 'leaving', 'left'] as const;

scenario(
  'the executables in hooks.d run when the node has joined, leaves and has left, and get the facts',
  {
    async prepare(node) {
      for (const occasion of occasions) {
        const folder = `${paths.hooks}/${occasion}`;
        await node.write(`${folder}/10-fails`, program('echo it is broken; exit 3'), 0o755);
        await node.write(`${folder}/20-notes.sh`, program(`env > '${node.root}/${occasion}'`), 0o755);
        await node.write(`${folder}/README.md`, program(`touch '${node.root}/wrong'`), 0o755);
      }
    },
  },
  async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    await scene.logged(node, 'joined');
    simulator.verbs.setDesiredCapacity(group, 0);
    await scene.gone(node);
    const { zone, privateIp } = instance(scene, node);
    const facts = {
      ECS_NODE_CLUSTER: 'demo',
      ECS_NODE_INSTANCE_ID: node.id,
      ECS_NODE_REGION: 'us-east-1',
      ECS_NODE_ZONE: zone,
      ECS_NODE_PRIVATE_IP: privateIp,
    };
    const departure = {
      ECS_NODE_CAUSE: 'scale-in',
      ECS_NODE_REASON: "Auto Scaling's target state is Terminated",
      ECS_NODE_ENDING: 'await',
      ECS_NODE_DEADLINE: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
    };
    for (const occasion of occasions) {
      const about = { ...facts, ECS_NODE_EVENT: occasion, ...(occasion !== 'joined' && departure) };
      const lines = ((await node.read(occasion)) ?? '').split('\n').filter((line) => line.startsWith('ECS_NODE_'));
      expect(Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)))).toEqual(about);
    }
    const failed = node.log.filter(({ message }) => message === 'hook failed');
    expect(failed.map((line) => [line['hook'], line['code']])).toEqual(
      occasions.map((occasion) => [`${occasion}/10-fails`, 3]),
    );
    expect(await node.read('wrong')).toBeUndefined();
  },
);

describe.concurrent('a scale-in', () => {
  scenario(
    'is delayed until the services have room elsewhere, when configured',
    { flags: settings({ 'leave.steadyClusterSeconds': 600 }) },
    async (scene) => {
      const { expect, simulator } = scene;
      const node = await scene.launch();
      await scene.inService(node);
      await scene.logged(node, 'joined');
      simulator.verbs.createService('demo', { name: 'web', desired: 1, minimumHealthyPercent: 0 });
      const cluster = simulator.world.clusters.get('demo')!;
      const running = () => [...cluster.tasks.values()].filter(({ lastStatus }) => lastStatus === 'RUNNING').length;
      await waitFor('a task', () => running() === 1);
      let served = -1;
      simulator.calls.listen(({ operation, instanceId }) => {
        if (operation === 'CompleteLifecycleAction' && instanceId === node.id) served = running();
      });
      const held = async () => (await node.read(paths.departure))?.includes('service:web below its desired count');
      simulator.verbs.setDesiredCapacity(group, 0);
      await waitFor('held back', held);
      simulator.verbs.setDesiredCapacity(group, 1);
      await scene.gone(node);
      expect(served).toBe(1);
    },
  );

  scenario(
    'does not happen when a capacity provider forbids it; the node can still leave, and is replaced',
    { groups: [{ name: group, hooks, protectNew: true }] },
    async (scene) => {
      const { expect, simulator } = scene;
      const managed = 'ecs-managed-draining-termination-hook';
      simulator.verbs.putHook(group, { name: managed, transition: 'terminate', completesAfterMs: 1_000 });
      const node = await scene.launch();
      await scene.inService(node);
      await scene.logged(node, 'joined');
      const activities = simulator.world.groups.get(group)!.activities;
      simulator.verbs.setDesiredCapacity(group, 0);
      await waitFor('refused', () => activities.some(({ status }) => status === 'Cancelled'));
      simulator.verbs.setDesiredCapacity(group, 1);
      expect(scene.placements(node)).toEqual([]);
      expect(await node.run(['leave', '--reason', 'kernel update', '--no-wait'])).toMatchObject({ code: 0 });
      await scene.gone(node);
      // ECS owns this protection: it would set it again, and Auto Scaling would terminate a node
      // with tasks.
      expect(node.calls()).not.toContain('autoscaling:SetInstanceProtection');
      expect(completions(scene, node)).toEqual([
        [launchHook, 'CONTINUE'],
        [terminateHook, 'CONTINUE'],
      ]);
      await scene.nth(2);
    },
  );
});
