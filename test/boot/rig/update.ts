/** Updates a node in place while it is in service, and rolls it back, by archive or by package. */

import assert from 'node:assert/strict';
import { harmedNobody, joins } from './check.ts';
import type { World } from './contract.ts';

const unit = 'ecs-node.service';
const changes = /^(Register(?!ContainerInstance)|Assign|Deregister|Modify|Update|Terminate|Set|Complete)/;

/** Installs a version on the running machine, as an operator does. */
export type Install = (world: World, which: 'older' | 'newer') => Promise<void>;

export async function liveThroughUpdate(world: World, install: Install): Promise<void> {
  const { aws, machine, until } = world;
  machine.start();
  await joins(world);
  const before = aws.calls().length;

  const first = await pidOf(world);
  await install(world, 'newer');
  const second = await runsInstalled(world, first);

  // The newer version writes fields, phases, steps and watchers that this version does not know.
  await machine.run('/usr/bin/systemctl', 'stop', unit);
  await writeAsNewer(world);
  await machine.run('/usr/bin/systemctl', 'start', '--no-block', unit);
  await until('it runs again', async () => !['', '0', second].includes(await pidOf(world)));
  await install(world, 'older');
  await runsInstalled(world, second);
  await isJoined(world);
  staysInService(world, before);

  // The bootstrap reads its files at the next boot.
  await machine.run('/usr/bin/systemctl', 'reboot');
  await until('ECS starts again', () => aws.ecsStarts().length === 2);
  await until('the ECS agent is connected again', () => aws.containerInstance('prod')?.connected === true);
  await isJoined(world);
  staysInService(world, before);
}

async function isJoined({ machine, until }: World): Promise<void> {
  await until('the agent reports the state joined', async () =>
    (await machine.run('/usr/bin/ecs-node', 'status', '--json')).stdout.includes('"joined"'),
  );
}

function staysInService(world: World, before: number): void {
  const { aws } = world;
  harmedNobody(world);
  const instance = aws.containerInstance('prod');
  assert.deepEqual([instance?.status, instance?.connected], ['ACTIVE', true]);
  const operations = aws
    .calls()
    .slice(before)
    .map(({ operation }) => operation);
  assert.deepEqual(
    operations.filter((operation) => changes.test(operation)),
    [],
    'the update changed something in AWS',
  );
  assert.equal(aws.opsworksRecords(), 1, 'registered twice');
}

async function pidOf({ machine }: World): Promise<string> {
  return (await machine.readUnit(unit))['MainPID'] ?? '';
}

/** Waits until another process than `before` runs the installed file. */
async function runsInstalled(world: World, before: string): Promise<string> {
  const { aws, machine, until } = world;
  await until('the installed agent runs', async () => {
    const { MainPID, SubState } = await machine.readUnit(unit);
    if (SubState !== 'running' || MainPID === before || MainPID === undefined) return false;
    return (await machine.run('/usr/bin/readlink', `/proc/${MainPID}/exe`)).stdout === '/usr/bin/ecs-node\n';
  });
  assert.equal((await machine.readUnit('ecs-node-bootstrap.service'))['NRestarts'], '0');
  assert.equal(aws.ecsStarts().length, 1, 'ecs was restarted with it');
  return pidOf(world);
}

/** Writes new fields, and new values in fields that this version knows. */
async function writeAsNewer({ machine }: World): Promise<void> {
  const bootstrap = await read(machine, '/var/lib/ecs-node/bootstrap.json');
  const step = { name: 'a-step-of-tomorrow', state: 'postponed', startedAt: Date.now(), because: { of: 'tomorrow' } };
  await write(machine, '/var/lib/ecs-node/bootstrap.json', {
    ...bootstrap,
    schema: 9,
    steps: [...(bootstrap['steps'] as object[]), step],
  });
  const agent = await read(machine, '/run/ecs-node/agent.json');
  const watcher = { finding: 'doubtful', at: Date.now(), since: Date.now(), confidence: 0.5 };
  await write(machine, '/run/ecs-node/agent.json', {
    ...agent,
    watchers: { ...(agent['watchers'] as object), tomorrow: watcher },
    memories: { ...(agent['memories'] as object), tomorrow: { kind: 'new' } },
  });
  // A departure of a kind that only the newer version has.
  await write(machine, '/var/lib/ecs-node/departure.json', {
    instanceId: bootstrap['instanceId'],
    cause: 'tomorrow',
    reason: 'a cause that this version does not know',
    startedAt: Date.now(),
    deadline: Date.now() + 60_000,
    ending: 'hand-over',
    phase: 'confirm',
    entered: { confirm: Date.now() },
    blockers: [],
    troubles: [],
  });
}

async function read(machine: World['machine'], path: string): Promise<Record<string, unknown>> {
  const text = await machine.run('/usr/bin/cat', path);
  return JSON.parse(text.stdout) as Record<string, unknown>;
}

/** Writes from inside, because only the machine sees its /run. */
async function write(machine: World['machine'], path: string, value: object): Promise<void> {
  const { code, stderr } = await machine.run(
    '/bin/sh',
    '-c',
    'printf "%s\\n" "$1" >"$2"',
    'sh',
    JSON.stringify(value),
    path,
  );
  assert.equal(code, 0, stderr);
}
