/** A damaged state of the node is set aside, and costs neither a boot nor the agent anything. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readRegistration } from '../../../agent/capacity-provider/registration.ts';
import { readDeparture } from '../../../agent/departure/departure.ts';
import { deregisterFromRegistrar } from '../../../agent/departure/leave-registrar.ts';
import { readRequest } from '../../../agent/request.ts';
import { setLateTags } from '../../../agent/joining/late-tags.ts';
import { readStatus } from '../../../agent/status.ts';
import { readBootstrapState } from '../../../bootstrap/bootstrap.ts';
import { pullConfiguration } from '../../../config/remote/refresh.ts';
import { ConfigError, Unavailable } from '../../../core/errors.ts';
import type { Host, Machine } from '../../../core/host.ts';
import { readStateText } from '../../../core/state/read-state.ts';
import { paths } from '../../../core/state/state.ts';
import { openFiles } from '../../../host/files/files.ts';
import { readDaemonTasks } from '../../../upkeep/daemon-tasks-memory.ts';
import { openFakeHost } from '../../fakes/host.ts';

const { signal } = new AbortController();

const readers: Record<string, (host: Host) => Promise<unknown>> = {
  [paths.bootstrap]: readBootstrapState,
  [paths.daemonTasks]: readDaemonTasks,
  [paths.departure]: (host) => readDeparture(host, signal),
  [paths.request]: readRequest,
  [paths.registration]: readRegistration,
  [paths.agent]: readStatus,
  [paths.lateTags]: (host) => setLateTags(host, signal),
  [paths.refreshed]: (host) =>
    pullConfiguration(
      { ...host, cloud: { ...host.cloud, readDocuments: async () => [] } },
      'ssm:/a',
      async () => {},
      signal,
    ),
};

test.each(Object.entries(readers))('%s is set aside with a warning, and read as absent', async (path, read) => {
  const { host, world } = openFakeHost();
  world.machine.files.set(path, new ConfigError([{ path, problem: 'is not UTF-8 text' }]));
  await read(host);
  expect([...world.machine.files.keys()]).toContain(`${path}.damaged`);
  expect(world.log.filter(({ level }) => level === 'warn')).toMatchObject([
    { message: 'damaged state set aside', fields: { error: expect.stringContaining(path) } },
  ]);
  await host.machine.writeText(path, '{}');
  expect(world.machine.files.get(path)).toBe('{}');
});

test('a node whose registration cannot be read leaves all the same', async () => {
  const { host, world } = openFakeHost();
  const path = paths.bootstrap;
  world.machine.files.set(path, new ConfigError([{ path, problem: 'is not UTF-8 text' }]));
  await expect(deregisterFromRegistrar({ host } as never, signal)).resolves.toBeUndefined();
});

describe.each([
  ['no UTF-8', (path: string) => writeFileSync(path, Uint8Array.of(0x7b, 0xff))],
  ['a folder', (path: string) => mkdirSync(join(path, 'below'), { recursive: true })],
  ['5 MB', (path: string) => writeFileSync(path, 'x'.repeat(5_000_000))],
  ['a pipe', (path: string) => void execFileSync('mkfifo', [path])],
])('%s in the place of a state', (_, damage) => {
  function openRoot() {
    const root = mkdtempSync(join(tmpdir(), 'ecs-node-state-'));
    onTestFinished(() => rmSync(root, { recursive: true, force: true }));
    const file = join(root, paths.bootstrap);
    mkdirSync(dirname(file), { recursive: true });
    const { host } = openFakeHost();
    return { file, machine: openFiles(root) as Machine, log: host.log };
  }

  test('is kept beside it, the last one only, and the next write succeeds', async () => {
    const { file, machine, log } = openRoot();
    for (let round = 0; round < 2; round++) {
      damage(file);
      expect(await readStateText({ machine, log }, paths.bootstrap)).toBeUndefined();
      expect(readdirSync(dirname(file))).toEqual(['bootstrap.json.damaged']);
    }
    await machine.writeText(paths.bootstrap, '{}');
    expect(await readStateText({ machine, log }, paths.bootstrap)).toBe('{}');
  });

  test('is an error for a person who may not rename it', async () => {
    const { file, machine, log } = openRoot();
    damage(file);
    const setAside = () => Promise.reject(new ConfigError([{ path: file, problem: 'run it as root' }]));
    await expect(readStateText({ machine: { ...machine, setAside }, log }, paths.bootstrap)).rejects.toThrow(
      paths.bootstrap,
    );
  });
});

test('a state that a disk does not give is not set aside', async () => {
  const { host, world } = openFakeHost();
  world.machine.files.set(paths.bootstrap, new Unavailable('EIO: i/o error'));
  await expect(readBootstrapState(host)).rejects.toThrow('EIO');
  expect([...world.machine.files.keys()]).toEqual([paths.bootstrap]);
});
