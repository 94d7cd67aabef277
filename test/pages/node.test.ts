/** The pages' commands on a node, as they stand there, on a node of the simulator. */

import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';
import { bootWith } from '../cloudformation/rig/user-data.ts';
import { openStage, type Node, type Stage } from '../scenarios/stage.ts';
import { blocksOf } from './fences.ts';
import { planned } from './plan.ts';

let tools: string;
let stage: Stage;
let node: Node;

beforeAll(async () => {
  tools = await mkdtemp(join(tmpdir(), 'tools-'));
  stage = await openStage();
  node = await stage.launch();
  await node.booted;
  const environment = Object.entries(stage.simulator.environmentFor(node.id));
  const exported = environment.map(([name, value]) => `export ${name}='${value}'`).join('\n');
  await tool('ecs-node', `${exported}\nexec '${inject('binary')}' "$@" --root '${node.root}'`);
  await tool('sudo', 'exec "$@"');
  await waitFor('the node is in service', () => node.state() === 'InService');
  await waitFor('it has joined', async () => (await run('ecs-node status')).includes('joined'));
});
afterAll(async () => {
  await stage.close();
  await rm(tools, { recursive: true });
});

async function tool(name: string, script: string): Promise<void> {
  await writeFile(join(tools, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(tools, name), 0o755);
}

async function run(command: string): Promise<string> {
  const env = { PATH: `${tools}:/usr/bin:/bin` };
  const { stdout } = await promisify(execFile)('sh', ['-c', command], { env });
  return stdout;
}

/** A part of what each command prints. */
const prints: Record<string, string> = {
  'ecs-node status': 'joined',
  'sudo ecs-node doctor': 'lifecycle hooks: those of the group nodes are as configured',
  "sudo ecs-node leave --reason 'first try'": 'leav',
};

test.each(planned('node'))('$page: $command', async ({ command }) => {
  expect(await run(command)).toContain(prints[command]);
});

test('the node that was told to leave has gone, and says why', async () => {
  await waitFor('its end', () => node.state() === undefined);
  expect(stage.simulator.world.instances.get(node.id)!.tags.get('ecs-node:left')).toContain('first try');
});

test.each(planned('user-data'))('$page: $command', async ({ command }) => {
  if (!command.startsWith('#!')) await run(`cd '${tools}'; CLUSTER=prod; ${command}`);
  const script = command.startsWith('#!') ? command : await readFile(join(tools, 'user-data.sh'), 'utf8');
  const config = await bootWith(script, (booted) => booted.config);
  expect(config).toMatchObject({ cluster: 'prod', registrar: command.includes('--registrar ssm') ? 'ssm' : 'none' });
});

test("README's configuration is one that the program takes", async () => {
  const [yaml] = blocksOf('README.md', 'yaml');
  await node.write('etc/ecs-node/page.yaml', yaml!);
  expect(parse(await run('ecs-node check --config /etc/ecs-node/page.yaml'))).toMatchObject({
    cluster: 'prod',
    registrar: 'ssm',
    ecs: { settings: { ECS_RESERVED_MEMORY: '256' } },
    disk: { fullPercent: 90 },
  });
});
