/**
 * What is measured side by side: how each is started on a simulated instance, and by what deed it
 * answers a spot notice.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubernetesFront } from '../fronts/kubernetes-front.ts';
import type { MetadataFront } from '../fronts/metadata-front.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import type { Account } from '../node.ts';

export interface Stage {
  account: Account;
  /** At 169.254.169.254; tells of one instance at a time. */
  metadata: MetadataFront;
  kubernetes: KubernetesFront;
  folder: string;
}

/** One program that looks after one instance. */
export interface PeerProcess {
  pid: number;
  /** Resolves with its answer to a spot notice; rejects when the program ends before. */
  acted: Promise<void>;
  kill(): void;
}

export interface Side {
  name: string;
  /** Of the programs that were found. */
  program: string;
  /** How often it asks for a spot notice. */
  pollSeconds: number;
  /** What counts as its answer to one. */
  action: string;
  /** As in the table; capitals stand for what differs from machine to machine. */
  command: string;
  /** Resolves when it asks for spot notices. */
  start(stage: Stage, program: string, instanceId: string): Promise<PeerProcess>;
  /** What is run to see it start, where nothing answers. */
  startArgs(kubernetesPort: number, folder: string): string[];
}

export const sides: readonly Side[] = [ecsNode(2), ecsNode(5), lifecycled(), terminationHandler()];

/** The intervals of 2 s are the default ones. */
function ecsNode(pollSeconds: number): Side {
  const settings = pollSeconds === 2 ? {} : { 'spot.pollSeconds': pollSeconds, 'autoScaling.pollSeconds': pollSeconds };
  const flags = Object.entries(settings).map(([key, value]) => ` --set ${key}=${value}`);
  return {
    name: pollSeconds === 2 ? 'ecs-node' : `ecs-node, every ${pollSeconds} s`,
    program: 'ecs-node',
    pollSeconds,
    action: 'DRAINING in ECS',
    command: `ecs-node configure --cluster demo${flags.join('')}; ecs-node agent`,
    async start({ account }, program, id) {
      const machine = await account.openNode(id, settings, program);
      await untilAsked(account, id, 'spot/instance-action');
      const child = machine.process!;
      return openPeerProcess(child, untilDraining(account, id));
    },
    startArgs: (_, folder) => ['--root', folder, 'agent'],
  };
}

function lifecycled(): Side {
  const name = 'lifecycled';
  return {
    name,
    program: name,
    pollSeconds: 5,
    action: 'its handler runs',
    command: 'lifecycled --handler HANDLER',
    async start({ account, metadata, folder }, program, id) {
      metadata.pointAt(account.simulator.imdsEndpoint(id));
      const { file, called } = await openHandler(join(folder, id));
      const life = openPeerProcess(start(program, ['--handler', file]), called);
      await Promise.race([untilAsked(account, id, 'spot/termination-time'), life.acted]);
      return life;
    },
    startArgs: () => ['--handler', '/bin/true'],
  };
}

function terminationHandler(): Side {
  const args = (node: string, port: number | string) =>
    `--node-name ${node} --kubernetes-service-host 127.0.0.1 --kubernetes-service-port ${port}`.split(' ');
  return {
    name: 'aws-node-termination-handler',
    program: 'node-termination-handler',
    pollSeconds: 2,
    action: 'the node is cordoned',
    command: ['node-termination-handler', ...args('NODE', 'PORT'), '--metadata-url', 'URL'].join(' '),
    async start({ account, kubernetes }, program, id) {
      kubernetes.addNode(id);
      const metadata = ['--metadata-url', account.simulator.imdsEndpoint(id)];
      const life = openPeerProcess(
        start(program, [...args(id, kubernetes.port), ...metadata]),
        kubernetes.cordoned(id),
      );
      await Promise.race([untilAsked(account, id, 'spot/instance-action'), life.acted]);
      return life;
    },
    startArgs: (port) => args('node', port),
  };
}

function start(program: string, args: string[]): ChildProcess {
  return spawn(program, args, { env: { PATH: '/usr/bin:/bin' }, stdio: ['ignore', 'pipe', 'pipe'] });
}

function openPeerProcess(child: ChildProcess, deed: Promise<void>): PeerProcess {
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => void last.splice(0, Math.max(0, last.push(chunk.toString()) - 20)));
  }
  const ended = once(child, 'close').then(async ([code]) => {
    // lifecycled ends with its handler, and its end may be seen before its deed.
    await sleep(1_000);
    throw new Error(`${child.spawnfile} ended with ${code}:\n${last.join('')}`);
  });
  const acted = Promise.race([deed, ended]);
  // Who is killed before it acted has nobody who waits for it.
  acted.catch(() => {});
  return { pid: child.pid!, acted, kill: () => void child.kill('SIGKILL') };
}

async function untilAsked({ simulator }: Account, id: string, path: string): Promise<void> {
  const which = { service: 'imds', instanceId: id, operation: `GET ${path}` };
  await waitFor(`${id} is asked for ${path}`, () => simulator.calls.find(which).length > 0);
}

function untilDraining({ simulator }: Account, id: string): Promise<void> {
  return new Promise((resolve) => {
    simulator.world.listeners.add((event) => {
      if (event.kind !== 'container-instance' || event.state !== 'DRAINING') return;
      if (event.instance.instanceId === id) resolve();
    });
  });
}

/** A handler that only says that it was called. */
async function openHandler(base: string): Promise<{ file: string; called: Promise<void> }> {
  const socket = createServer((connection) => connection.end());
  socket.listen(0, '127.0.0.1');
  await once(socket, 'listening');
  // Of one that is only watched the handler never runs: that must not keep this process.
  socket.unref();
  const called = once(socket, 'connection').then(() => void socket.close());
  const { port } = socket.address() as { port: number };
  const file = `${base}-handler`;
  await writeFile(file, `#!/bin/bash\n: </dev/tcp/127.0.0.1/${port}\n`);
  await chmod(file, 0o755);
  return { file, called };
}
