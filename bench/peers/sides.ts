/**
 * The programs that the benchmark compares: how each starts on a simulated instance, and which
 * action answers a spot notice.
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
  /** The service at 169.254.169.254; it serves one instance at a time. */
  metadata: MetadataFront;
  kubernetes: KubernetesFront;
  folder: string;
}

/** One program that watches one instance. */
export interface PeerProcess {
  pid: number;
  /** Resolves at the program's reaction to a spot notice; rejects if the program ends before. */
  acted: Promise<void>;
  kill(): void;
}

export interface Side {
  name: string;
  /** The name of the program file. */
  program: string;
  /** The interval at which it polls for a spot notice. */
  pollSeconds: number;
  /** The action that counts as its reaction to a notice. */
  action: string;
  /** The command for the table; capitals stand for values that differ between machines. */
  command: string;
  /** Starts the program; resolves when it polls for spot notices. */
  start(stage: Stage, program: string, instanceId: string): Promise<PeerProcess>;
  /** The arguments for measuring a start, where no server answers. */
  startArgs(kubernetesPort: number, folder: string): string[];
}

/** As often as aws-node-termination-handler, with as many metadata requests, and little else. */
const handlersQuestions = {
  'spot.pollSeconds': 2,
  'autoScaling.pollSeconds': 2,
  'maintenance.pollSeconds': 10,
  'rebalance.pollSeconds': 300,
  'ecsAgent.pollSeconds': 600,
  'docker.pollSeconds': 600,
  'disk.checkSeconds': 3600,
  'metrics.enabled': false,
};

export const sides: readonly Side[] = [
  ecsNode('ecs-node', 1, {}),
  ecsNode("ecs-node, the handler's questions", 2, handlersQuestions),
  ecsNode('ecs-node, every 5 s', 5, { 'spot.pollSeconds': 5, 'autoScaling.pollSeconds': 5 }),
  lifecycled(),
  terminationHandler(),
];

/** Without settings, it has its defaults. */
function ecsNode(name: string, pollSeconds: number, settings: Record<string, string | number | boolean>): Side {
  const flags = Object.entries(settings).map(([key, value]) => ` --set ${key}=${value}`);
  return {
    name,
    program: 'ecs-node',
    pollSeconds,
    action: 'DRAINING in ECS',
    command: `ecs-node configure${flags.join('')}`,
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
    command: 'node-termination-handler --node-name NODE --metadata-url URL',
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

function openPeerProcess(child: ChildProcess, action: Promise<void>): PeerProcess {
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => void last.splice(0, Math.max(0, last.push(chunk.toString()) - 20)));
  }
  const ended = once(child, 'close').then(async ([code]) => {
    // lifecycled ends together with its handler, and the benchmark may notice the end before the
    // handler's call.
    await sleep(1_000);
    throw new Error(`${child.spawnfile} ended with ${code}:\n${last.join('')}`);
  });
  const acted = Promise.race([action, ended]);
  // If the program is killed before it acts, no caller waits for this promise.
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

/** Writes a handler that only reports that it was called. */
async function openHandler(base: string): Promise<{ file: string; called: Promise<void> }> {
  const socket = createServer((connection) => connection.end());
  socket.listen(0, '127.0.0.1');
  await once(socket, 'listening');
  // The handler of a program under memory measurement never runs; its socket must not keep this
  // process alive.
  socket.unref();
  const called = once(socket, 'connection').then(() => void socket.close());
  const { port } = socket.address() as { port: number };
  const file = `${base}-handler`;
  await writeFile(file, `#!/bin/bash\n: </dev/tcp/127.0.0.1/${port}\n`);
  await chmod(file, 0o755);
  return { file, called };
}
