/**
 * The shipped binary against a world in which one source lies. Each case ended, or harmed, a
 * healthy node of version 0.1.0.
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, vi } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';
import { registerTarget } from '../../simulator/world/balancers.ts';
import { paths } from '../../core/state/state.ts';
import { scenario, type Scene } from './scenario.ts';
import { group, settings, type Node } from './stage.ts';

// A node is watched for longer than its patience of a minute.
vi.setConfig({ testTimeout: 300_000 });

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const changing = /:Terminate|SetInstanceHealth|StopInstances|CompleteLifecycleAction|StopTask|Deregister/;

interface Target {
  node: Node;
  arn: string;
  /** The actions on the node that ACTIVE does not undo. */
  harm(): string[];
}

/**
 * In service and in a target group, with a leaving hook and a drain of ten seconds. `busy`: with a
 * task that ends only on request.
 */
async function inService(scene: Scene, isBusy: boolean): Promise<Target> {
  const { simulator } = scene;
  const arn = simulator.verbs.createTargetGroup('web', { deregistrationDelaySeconds: 1 });
  const node = await scene.launch();
  registerTarget(simulator.world, simulator.world.targetGroups.get(arn)!, node.id);
  await node.write(`${paths.dropIns}/50-balancers.yaml`, `leave:\n  targetGroups: ['${arn}']\n  drainSeconds: 10\n`);
  await node.write(`${paths.hooks}/leaving/10-tell`, '#!/bin/sh\ntouch "$0.ran"\n', 0o755);
  scene.expect(await node.boot()).toBe(0);
  await scene.inService(node);
  await scene.logged(node, 'joined');
  if (isBusy) simulator.verbs.runTask('demo', node.id, { stopMs: 3_600_000 });
  const before = node.calls().length;
  const harm = () => [
    ...node
      .calls()
      .slice(before)
      .filter((call) => changing.test(call)),
    ...(simulator.world.instances.get(node.id)?.state === 'running' ? [] : ['ended']),
    ...node.log.filter(({ message }) => message === 'hook ran').map(({ message }) => message),
  ];
  return { node, arn, harm };
}

/** Harm ends the wait at once: it is what the reader of a failure needs to see. */
async function isActiveAgain(scene: Scene, { node, harm }: Target): Promise<void> {
  const isActive = () => scene.placements(node).at(-1) === 'ACTIVE';
  await waitFor('ACTIVE again', () => isActive() || harm().length > 0, 60_000);
  scene.expect(harm()).toEqual([]);
}

describe.concurrent('a healthy node lives when', () => {
  for (const isBusy of [false, true]) {
    scenario(
      `metadata says Terminated for two seconds, and Auto Scaling InService all the time (${isBusy ? 'busy' : 'idle'})`,
      { boots: false },
      async (scene) => {
        const { expect, simulator } = scene;
        const target = await inService(scene, isBusy);
        const { node, harm } = target;
        simulator.verbs.setTargetState(node.id, 'Terminated');
        await waitFor('DRAINING', () => scene.placements(node).includes('DRAINING'));
        await pause(2_000);
        simulator.verbs.setTargetState(node.id, 'InService');
        await isActiveAgain(scene, target);
        await pause(5_000);
        expect(harm()).toEqual([]);
        expect(node.state()).toBe('InService');
      },
    );

    scenario(
      `a spot notice that EC2 does not know is withdrawn after 25 seconds (${isBusy ? 'busy' : 'idle'})`,
      { boots: false, spot: true },
      async (scene) => {
        const { expect, simulator } = scene;
        const target = await inService(scene, isBusy);
        const { node, harm } = target;
        simulator.verbs.claimSpot(node.id);
        await waitFor('DRAINING', () => scene.placements(node).includes('DRAINING'));
        await pause(25_000);
        simulator.verbs.withdrawSpot(node.id);
        await isActiveAgain(scene, target);
        expect(harm()).toEqual([]);
        expect(node.state()).toBe('InService');
      },
    );
  }

  scenario(
    'metadata lists a retirement that EC2 does not know',
    { boots: false, flags: settings({ 'maintenance.pollSeconds': 10 }) },
    async (scene) => {
      const { expect, simulator } = scene;
      const { node, harm } = await inService(scene, true);
      simulator.verbs.scheduleMaintenance(node.id, { code: 'instance-retirement', isClaimed: true });
      const hasAsked = () => node.calls().includes('ec2:DescribeInstanceStatus');
      await waitFor('asked EC2', () => hasAsked() || harm().length > 0, 60_000);
      await pause(3_000);
      expect(harm()).toEqual([]);
      expect(scene.placements(node)).toEqual([]);
    },
  );

  const bodies = ['{}', '{"containerInstances":[],"failures":[]}'];
  // Six of six nodes ended within six seconds of each other.
  const empty: [what: string, operations: (string | undefined)[]][] = [
    ['everything', [undefined]],
    ['every question about container instances', ['DescribeContainerInstances', 'ListContainerInstances']],
  ];
  for (const [body, [what, operations]] of bodies.flatMap((each) => empty.map((which) => [each, which] as const))) {
    scenario(
      `ECS answers ${body} to ${what}, and its agent's port was never open`,
      {
        introspection: 'http://127.0.0.1:9',
        flags: settings({
          'ecsAgent.pollSeconds': 5,
          'ecsAgent.patienceSeconds': 60,
          'ecsAgent.restarts': 0,
        }),
      },
      async (scene) => {
        const { expect, simulator } = scene;
        const node = await scene.launch();
        await scene.inService(node);
        await scene.logged(node, 'joined');
        for (const operation of operations)
          simulator.faults.add({
            service: 'ecs',
            ...(operation !== undefined && { operation }),
            effect: { kind: 'answer', body },
          });
        const ends = () => node.calls().filter((call) => /:Terminate|SetInstanceHealth/.test(call));
        const began = performance.now();
        await waitFor(
          'the end of its patience',
          () => ends().length > 0 || performance.now() - began > 100_000,
          120_000,
        );
        expect(ends()).toEqual([]);
        expect(simulator.world.instances.get(node.id)?.state).toBe('running');
        expect(node.state()).toBe('InService');
      },
    );
  }
});

describe.concurrent('another node is left alone when', () => {
  // Port 51678 is not privileged: node A drained node B and stopped B's task.
  scenario('its record and its task are named by a forged introspection port', {}, async (scene) => {
    const { expect, simulator } = scene;
    const other = await scene.launch();
    await scene.inService(other);
    await scene.logged(other, 'joined');
    const task = simulator.verbs.runTask('demo', other.id, { stopMs: 3_600_000 });
    const record = simulator.world.clusters.get('demo')!.byInstance.get(other.id)!;
    const forged: Record<string, object> = {
      '/v1/metadata': { Cluster: 'demo', ContainerInstanceArn: record.arn, Version: 'x' },
      '/v1/tasks': { Tasks: [{ Arn: task, Family: 'batch', DesiredStatus: 'RUNNING', KnownStatus: 'RUNNING' }] },
    };
    const server = createServer((request, response) => response.end(JSON.stringify(forged[request.url ?? ''])));
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    try {
      simulator.verbs.setDesiredCapacity(group, 2);
      const node = await scene.nth(2);
      await scene.inService(node);
      await scene.logged(node, 'joined');
      const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      await node.write(
        `${paths.dropIns}/99-forged.yaml`,
        `ecs:\n  introspectionEndpoint: ${endpoint}\nleave:\n  drainSeconds: 10\n`,
      );
      node.process!.kill('SIGHUP');
      await waitFor('another agent', () => node.log.filter(({ message }) => message === 'agent started').length > 1);
      expect(await node.run(['leave', '--reason', 'by hand', '--no-wait'])).toMatchObject({ code: 0 });
      const isGone = () => simulator.world.instances.get(node.id)?.state !== 'running';
      // ECS leaves the forged task out for a minute, and Docker does not run it.
      await waitFor('gone', () => isGone() || record.status !== 'ACTIVE', 180_000);
      expect(record.status).toBe('ACTIVE');
      expect(simulator.world.clusters.get('demo')!.tasks.get(task)!.desiredStatus).toBe('RUNNING');
      expect(scene.placements(node)).toEqual(['DRAINING']);
    } finally {
      server.close();
    }
  });
});
