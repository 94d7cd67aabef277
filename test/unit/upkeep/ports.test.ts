import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import type { LocalContainer, LocalTask } from '../../../core/host.ts';
import { paths } from '../../../core/state/state.ts';
import { chores } from '../../../upkeep/chores.ts';
import { isPortFile, renderPortFiles } from '../../../upkeep/ports-text.ts';
import { lazily, never, setStage } from '../agent/stage.ts';

const folder = mkdtempSync(join(tmpdir(), 'ports-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const id = (digit: string) => digit.repeat(64);
const web: LocalContainer = {
  name: 'web',
  dockerId: id('a'),
  ports: [
    { protocol: 'tcp', containerPort: 9010, hostPort: 32_768, hostIp: '0.0.0.0' },
    { protocol: 'tcp', containerPort: 9010, hostPort: 32_770, hostIp: '::' },
    { protocol: 'udp', containerPort: 53, hostPort: 32_769 },
  ],
};
const task = (containers: LocalContainer[], more: Partial<LocalTask> = {}): LocalTask => ({
  arn: `arn:aws:ecs:us-east-1:123456789012:task/demo/${'1'.repeat(32)}`,
  family: 'app',
  version: '3',
  desiredStatus: 'RUNNING',
  knownStatus: 'RUNNING',
  containers,
  ...more,
});
const filesOf = (...tasks: LocalTask[]) =>
  new Map(renderPortFiles(tasks, '10.0.0.5').map(({ name, text }) => [name, text]));

/** The variables of a real POSIX shell that has sourced the file. */
function sourced(text: string): Record<string, string> {
  const file = join(folder, 'ports.env');
  writeFileSync(file, text);
  const script = 'set -eu; PATH=/nowhere; . "$1"; set';
  const lines = execFileSync('/bin/sh', ['-c', script, 'sh', file], { env: {} }).toString().split('\n');
  const found = lines.filter((line) => line.startsWith('ECS_NODE_')).map((line) => line.split('='));
  return Object.fromEntries(found.map(([name, value]) => [name!, value!.replaceAll("'", '')]));
}

describe('the ports of a container', () => {
  it('are published as soon as it has them, and those of its task when no container can get more', () => {
    expect([...filesOf(task([web], { knownStatus: 'PENDING' })).keys()]).toEqual([
      `${'a'.repeat(12)}.json`,
      `${'a'.repeat(12)}.env`,
    ]);
    expect([...filesOf(task([web])).keys()]).toHaveLength(4);
  });

  it("are published at the task's own address when it has one", () => {
    const files = filesOf(task([{ ...web, address: '10.0.7.9' }]));
    for (const name of ['a'.repeat(12), '1'.repeat(32)]) {
      expect(sourced(files.get(`${name}.env`)!)).toMatchObject({ ECS_NODE_PRIVATE_IP: '10.0.7.9' });
      expect(JSON.parse(files.get(`${name}.json`)!)).toMatchObject({ privateIp: '10.0.7.9' });
    }
  });

  it('are in a file that the container finds by its own host name, for a shell and as JSON', () => {
    const files = filesOf(task([web]));
    expect(sourced(files.get(`${'a'.repeat(12)}.env`)!)).toEqual({
      ECS_NODE_TASK_ID: '1'.repeat(32),
      ECS_NODE_TASK_FAMILY: 'app',
      ECS_NODE_PRIVATE_IP: '10.0.0.5',
      ECS_NODE_CONTAINER: 'web',
      ECS_NODE_PORT_TCP_9010: '32768',
      ECS_NODE_PORT_UDP_53: '32769',
    });
    expect(JSON.parse(files.get(`${'a'.repeat(12)}.json`)!)).toMatchObject({
      taskId: '1'.repeat(32),
      revision: '3',
      privateIp: '10.0.0.5',
      containers: [
        {
          name: 'web',
          ports: [
            { protocol: 'udp', containerPort: 53, hostPort: 32_769 },
            { protocol: 'tcp', containerPort: 9010, hostPort: 32_768, hostIp: '0.0.0.0' },
          ],
        },
      ],
    });
  });

  it('are published for the whole task, each with its container, and never confused', () => {
    const twin = (name: string, digit: string, hostPort: number): LocalContainer => ({
      name,
      dockerId: id(digit),
      ports: [{ protocol: 'tcp', containerPort: 80, hostPort }],
    });
    const files = filesOf(task([web, twin('a-b', 'b', 1_080), twin('a_b', 'c', 1_081), twin('c', 'd', 1_082)]));
    const variables = sourced(files.get(`${'1'.repeat(32)}.env`)!);
    expect(variables).toMatchObject({ ECS_NODE_PORT_web_TCP_9010: '32768', ECS_NODE_PORT_c_TCP_80: '1082' });
    expect(Object.keys(variables).filter((name) => name.includes('a_b'))).toEqual([]);
    const told = JSON.parse(files.get(`${'1'.repeat(32)}.json`)!) as { containers: LocalContainer[] };
    expect(told.containers.map(({ name }) => name)).toEqual(['web', 'a-b', 'a_b', 'c']);
  });

  it('are not published before there are any, for stopped containers, or under an unsafe name', () => {
    expect(filesOf(task([{ ...web, ports: [] }])).size).toBe(0);
    expect(filesOf(task([web], { knownStatus: 'STOPPED' })).size).toBe(0);
    const strange = task([{ ...web, dockerId: '../../etc/x' }], { arn: '../../../etc/passwd' });
    expect([...filesOf(strange).keys()]).toEqual([]);
    for (const name of ['agent.json', `${'a'.repeat(12)}.txt`, '../a', `.${'a'.repeat(12)}.env.tmp`])
      expect(isPortFile(name)).toBe(false);
  });

  it('make no shell run anything, whatever a container is called', () => {
    const files = filesOf(task([{ ...web, name: '$(touch x)' }], { family: 'a; echo b' }));
    const lines = [...files].flatMap(([name, text]) => (name.endsWith('.env') ? text.trimEnd().split('\n') : []));
    expect(lines.length).toBeGreaterThan(4);
    expect(lines.filter((line) => !/^(#.*|[A-Z]\w*=[\w.:-]*)$/.test(line))).toEqual([]);
  });
});

describe('the files of the ports', () => {
  const open = () => {
    const config = lazily({ ports: { enabled: true } });
    const stage = setStage(config);
    const { world, own } = stage;
    const [chore] = chores(config, async () => 'unchanged');
    const names = () =>
      [...world.machine.files.keys()]
        .filter((path) => path.startsWith(`${paths.ports}/`))
        .map((path) => path.slice(20));
    const round = (host = stage.host) => world.clock.finish(chore!.run(host, never));
    return { stage, world, own, chore: chore!, names, round };
  };

  it('appear with a task and go with it, and a quiet round writes nothing', async () => {
    const { world, own, names, round } = open();
    const app = world.cluster.addTask(own.arn, { containers: [web] });
    expect(await round()).toBe('changed');
    expect(names()).toHaveLength(4);
    const before = world.calls.of('writeText').length;
    expect(await round()).toBe('unchanged');
    expect(world.calls.of('writeText')).toHaveLength(before);
    world.machine.files.set(`${paths.ports}/README`, 'somebody else’s');
    app.lastStatus = 'STOPPED';
    expect(await round()).toBe('changed');
    expect(names()).toEqual(['README']);
  });

  it('stay while the ECS agent is restarted or answers nonsense', async () => {
    const { world, own, names, round } = open();
    world.cluster.addTask(own.arn, { containers: [web] });
    await round();
    const agent = world.localAgent;
    world.localAgent = undefined;
    expect(await round()).toBe('unchanged');
    expect(names()).toHaveLength(4);
    world.localAgent = agent;
    world.calls.fails('ecsAgent.readTasks', new Unavailable('nonsense'));
    await expect(round()).rejects.toThrow('nonsense');
    expect(names()).toHaveLength(4);
  });

  it('are written again after a restart of the agent, a reboot, and their removal by a person', async () => {
    const { world, own, names, round, stage } = open();
    world.cluster.addTask(own.arn, { containers: [web] });
    await round();
    world.machine.files.delete(`${paths.ports}/${'a'.repeat(12)}.env`);
    expect(await round()).toBe('changed');
    expect(names()).toHaveLength(4);
    const again = chores(stage.config, async () => 'unchanged')[0]!;
    expect(await world.clock.finish(again.run(world.restart(), never))).toBe('unchanged');
    expect(await world.clock.finish(again.run(world.reboot(), never))).toBe('changed');
    expect(names()).toHaveLength(4);
  });

  it('stay as they are while the ECS agent does not name a task, also those of a task that has ended', async () => {
    const { world, own, names, round } = open();
    const first = world.cluster.addTask(own.arn, { containers: [web] });
    const second = world.cluster.addTask(own.arn, { containers: [{ ...web, dockerId: id('b') }] });
    await round();
    expect(names()).toHaveLength(8);
    const texts = () => names().map((name) => world.machine.files.get(`${paths.ports}/${name}`));
    const before = texts();
    first.unnamed = true;
    second.lastStatus = 'STOPPED';
    expect(await round()).toBe('unchanged');
    expect(texts()).toEqual(before);
    first.unnamed = false;
    expect(await round()).toBe('changed');
    expect(names()).toHaveLength(4);
  });

  it('are written for the tasks beside one that the ECS agent does not name', async () => {
    const { world, own, names, round } = open();
    world.cluster.addTask(own.arn, { containers: [{ ...web, dockerId: id('b') }], unnamed: true });
    world.cluster.addTask(own.arn, { containers: [web] });
    await round();
    expect(names()).toHaveLength(4);
    expect(names().filter((name) => name.startsWith('b'))).toEqual([]);
  });
});
