/**
 * The worked example of docs/dynamic-ports.md: a real JVM behind a host port that was not known
 * beforehand.
 */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished, test } from 'vitest';
import { paths } from '../../core/state/state.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { openStage, settings } from './stage.ts';

/**
 * The node as others reach it. A container has the rest of loopback to itself: there is no Docker
 * here.
 */
const nodeAddress = '127.0.0.2';

async function listen(host: string, port = 0): Promise<Server> {
  const server = createServer();
  server.listen(port, host);
  await once(server, 'listening');
  return server;
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;

/** A port that is free now, and most likely still in a second. */
async function freePort(): Promise<number> {
  const server = await listen('0.0.0.0');
  const port = portOf(server);
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Docker's part for a published port: it passes connections to the node's port on to the
 * container's.
 */
async function publish(containerPort: number): Promise<number> {
  const hostPort = await freePort();
  const server = await listen(nodeAddress, hostPort);
  server.on('connection', (outside) => {
    const inside = connect(containerPort, '127.0.0.1');
    inside.pipe(outside).pipe(inside);
    for (const socket of [inside, outside]) socket.on('error', () => (inside.destroy(), outside.destroy()));
  });
  onTestFinished(() => void server.close());
  return hostPort;
}

/** The example's entrypoint, as a container's first process. */
function startContainer(environment: Record<string, string>, program: readonly string[]) {
  const child = spawn('docs/examples/jmx-entrypoint.sh', program, {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    detached: true,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
  onTestFinished(() => end(child));
  return { child, said: () => said };
}

/** With its child processes: socat outlives the program to which it connects. */
function end({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

test('a JVM in a container learns its host port from the node, and a JMX client outside reaches it there', async ({
  expect,
}) => {
  const stage = await openStage({
    flags: settings({ 'ports.enabled': true, 'ports.everySeconds': 1 }),
    async environment({ world }, id) {
      Object.assign(world.instances.get(id)!, { privateIp: nodeAddress });
      return {};
    },
  });
  onTestFinished(() => stage.close());
  const node = await stage.launch();
  expect(await node.booted).toBe(0);
  const { verbs, world } = stage.simulator;
  await waitFor('registered', () => world.clusters.get('demo')!.byInstance.has(node.id));

  const containerPort = await freePort();
  const hostPort = await publish(containerPort);
  const ports = [{ containerPort, hostPort, protocol: 'tcp' as const }];
  verbs.registerTaskDefinition('app', { containers: [{ name: 'app', image: 'app:1', ports }] });
  const task = verbs.runTask('demo', node.id, { family: 'app' });
  const { dockerId } = world.clusters.get('demo')!.tasks.get(task)!.containers[0]!;
  const container = startContainer(
    {
      HOSTNAME: dockerId.slice(0, 12),
      PORTS_FOLDER: join(node.root, paths.ports),
      JMX_CONTAINER_PORT: String(containerPort),
      JMX_OPTIONS: '-Dcom.sun.management.jmxremote.authenticate=false -Dcom.sun.management.jmxremote.ssl=false',
    },
    ['java', 'test/scenarios/jmx/App.java'],
  );
  // The JMX server listens before a program's first word. Twice a compiler starts, on a machine
  // that may do much else.
  await waitFor('the JVM is up', () => /^up$/m.test(container.said()) || container.child.exitCode !== null, 80_000);
  expect(container.said()).toMatch(/^up$/m);
  const { stdout } = await promisify(execFile)('java', [
    'test/scenarios/jmx/Client.java',
    `${nodeAddress}:${hostPort}`,
  ]);
  // The shell has become the JVM: signals reach it.
  expect(stdout).toBe(`pid ${container.child.pid}\n`);

  verbs.endTask('demo', task);
  await waitFor(
    'its file is gone',
    async () => (await node.read(`${paths.ports}/${dockerId.slice(0, 12)}.env`)) === undefined,
  );
  const late = startContainer({ HOSTNAME: 'nobody', PORTS_WAIT_SECONDS: '1', PORTS_FOLDER: node.root }, ['true']);
  const [code] = (await once(late.child, 'exit')) as [number];
  expect(code).toBe(69);
  expect(late.said()).toContain('nobody.env does not exist');
});
