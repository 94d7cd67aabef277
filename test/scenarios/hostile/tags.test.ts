/** The shipped binary, and a person who may tag its instance and nothing more. */

import { describe, vi } from 'vitest';
import { paths } from '../../../core/state/state.ts';
import { layerId, stackId } from '../../../simulator/simulator.ts';
import { waitFor } from '../../../simulator/wait-for.ts';
import { group, type Node } from '../stage.ts';
import { scenario, type Scene } from '../scenario.ts';

vi.setConfig({ testTimeout: 300_000 });

/** The agent is killed, and systemd starts it again. */
async function restartAgent(node: Node): Promise<void> {
  const starts = () => node.log.filter(({ message }) => message === 'agent started').length;
  const before = starts();
  await node.shell('systemctl kill --signal=SIGKILL ecs-node.service');
  await waitFor('the agent is back', () => starts() > before);
}

/** The agent watches: it sees the scale-in, and takes the node out of the cluster first. */
async function leavesInScaleIn(scene: Scene, node: Node): Promise<void> {
  scene.simulator.verbs.setDesiredCapacity(group, 0);
  await scene.gone(node);
  scene.expect(scene.placements(node)).toEqual(['DRAINING']);
}

const warnings = ({ log }: Node) => log.filter(({ level }) => level === 'warn').map((line) => JSON.stringify(line));

const faulty: [key: string, value: string][] = [
  ['ecs-node:registar', 'ssm'],
  ['ecs-node:name', '{host}'],
  ['ecs-node:disk.paths', '[/x]'],
  ['ecs-node:hostname', '{nope}'],
];

describe('a tag with a fault', () => {
  scenario('keeps no node from booting: each is a warning', { boots: false }, async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    for (const [key, value] of faulty) simulator.verbs.setTag(node.id, key, value);
    expect(await node.boot()).toBe(0);
    await scene.inService(node);
    for (const [key] of faulty) expect(warnings(node)).toContainEqual(expect.stringContaining(key));
  });

  scenario('keeps no agent from coming back after a crash', {}, async (scene) => {
    const { simulator } = scene;
    const node = await scene.launch();
    await scene.inService(node);
    await scene.logged(node, 'joined');
    for (const [key, value] of faulty) simulator.verbs.setTag(node.id, key, value);
    await restartAgent(node);
    await leavesInScaleIn(scene, node);
  });
});

scenario('a configuration that has become faulty keeps no agent from coming back after a crash', {}, async (scene) => {
  const { expect } = scene;
  const node = await scene.launch();
  await scene.inService(node);
  await scene.logged(node, 'joined');
  await node.write(`${paths.dropIns}/99-faulty.yaml`, 'disk:\n  fullPercent: 900\n');
  await restartAgent(node);
  expect(node.log.map(({ message }) => message)).toContain(
    'configuration not valid: the agent goes on with the last good one',
  );
  await leavesInScaleIn(scene, node);
});

const installer = {
  'ecs-node:registrar': 'opsworks',
  'ecs-node:opsworks.stack': stackId,
  'ecs-node:opsworks.layer': layerId,
};

scenario('no tag makes a node run an installer as root', { boots: false }, async (scene) => {
  const { expect, simulator } = scene;
  const node = await scene.launch();
  for (const [key, value] of Object.entries(installer)) simulator.verbs.setTag(node.id, key, value);
  expect(await node.boot()).toBe(0);
  expect(node.calls().filter((call) => call.startsWith('opsworks:'))).toEqual([]);
  expect(simulator.world.registrations.size).toBe(0);
  expect(warnings(node)).toContainEqual(expect.stringMatching(/ecs-node:registrar.*tags: all/));
  await scene.inService(node);
});

scenario(
  'with "tags: all" the same tags register the node',
  { boots: false, flags: ['--set', 'tags=all'] },
  async (scene) => {
    const { expect, simulator } = scene;
    const node = await scene.launch();
    for (const [key, value] of Object.entries(installer)) simulator.verbs.setTag(node.id, key, value);
    expect(await node.boot()).toBe(0);
    expect(simulator.world.registrations.size).toBe(1);
  },
);

scenario('with "tags: ignore" no tag counts', { boots: false, flags: ['--set', 'tags=ignore'] }, async (scene) => {
  const { expect, simulator } = scene;
  const node = await scene.launch();
  simulator.verbs.setTag(node.id, 'ecs-node:name', 'named by a tag');
  for (const [key, value] of faulty) simulator.verbs.setTag(node.id, key, value);
  expect(await node.boot()).toBe(0);
  const name = simulator.world.instances.get(node.id)!.tags.get('Name');
  expect(name).toMatch(/^demo ECS - /);
});
