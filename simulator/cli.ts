/** `npm run simulator`: runs a local AWS from the command line. */

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { defaultRoot, help, parseArguments, type Arguments } from './command/arguments.ts';
import { nodeId, raise } from './command/events.ts';
import { renderCall, renderEvent } from './command/lines.ts';
import { renderTimed, UsageError } from './command/words.ts';
import { parsePolicy } from './iam/policy.ts';
import { layerId, stackId, startSimulator, type Simulator, type SimulatorOptions } from './simulator.ts';

const print = (line: string) => void process.stdout.write(`${line}\n`);

const defaultIntrospection = { host: '127.0.0.1', port: 51_678 };

async function optionsFor(args: Arguments): Promise<SimulatorOptions> {
  const policy = args.policy === undefined ? undefined : parsePolicy(await readFile(args.policy, 'utf8'));
  const introspection = args.introspection ?? (await freeIntrospection());
  const first = {
    ...(args.imds !== undefined && { imds: args.imds }),
    ...(introspection !== undefined && { introspection }),
  };
  return {
    port: args.port,
    region: args.region,
    seed: args.seed,
    settings: args.settings,
    clusters: args.clusters,
    stacks: [{ id: stackId, name: args.stack, layers: [{ id: layerId, name: 'ECS', shortName: 'ecs' }] }],
    groups: [
      {
        name: 'ecs-nodes',
        max: 2_000,
        hooks: args.hooks,
        template: { purchase: args.spot ? 'spot' : 'on-demand', ...(policy !== undefined && { policy }) },
      },
    ],
    addresses: ({ index }) => (index === 0 ? first : {}),
  };
}

/**
 * The address where processes on a node look for the ECS agent; undefined if another process
 * already listens there.
 */
async function freeIntrospection(): Promise<string | undefined> {
  const { host, port } = defaultIntrospection;
  const free = await new Promise<boolean>((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, host, () => probe.close(() => resolve(true)));
  });
  return free ? `${host}:${port}` : undefined;
}

function printStart(simulator: Simulator, args: Arguments): void {
  const id = nodeId(simulator, 1);
  const root = args.root ?? defaultRoot;
  print(`# AWS at ${simulator.endpoint}, control at ${simulator.endpoint}/_simulator/`);
  print(`# OpsWorks stack ${args.stack} ${stackId}, layer ecs ${layerId}; ECS cluster ${args.clusters.join(', ')}`);
  print(`# Node 1 is ${id}; its ECS agent listens at ${simulator.introspectionEndpoint(id)}. For a process on it:`);
  printEnvironment(simulator, id);
  print('# In another shell, with the lines above:');
  print(`#   dist/ecs-node bootstrap --cluster ${args.clusters[0]} --root ${root}`);
  print(`#   dist/ecs-node agent --root ${root}`);
  print(`#   (doctor looks for Docker below ${root}, where there is none: its line WRONG Docker is no fault)`);
  print('# For the AWS CLI, and for dist/ecs-node fleet, in a third shell:');
  for (const [name, value] of Object.entries(simulator.operatorEnvironment())) print(`#   export ${name}=${value}`);
  print(`#   dist/ecs-node fleet --cluster ${args.clusters[0]}`);
  print('');
}

function printEnvironment(simulator: Simulator, id: string): void {
  for (const [name, value] of Object.entries(simulator.environmentFor(id))) print(`export ${name}=${value}`);
}

function follow(simulator: Simulator, args: Arguments): void {
  const { world, calls } = simulator;
  calls.listen((call) => {
    if (call.service === 'imds' || call.service === 'introspection') return;
    print(args.json ? JSON.stringify(call) : renderCall(call));
  });
  if (args.json) return;
  world.listeners.add((event) => {
    const line = renderEvent(world.clock.now(), event);
    if (line !== undefined) print(line);
  });
}

/**
 * Prints the environment of a replacement instance too: the reader may want to run a node there.
 */
function announceLaunch(simulator: Simulator, id: string, index: number): void {
  print(`# Node ${index + 1} is ${id}:`);
  printEnvironment(simulator, id);
}

/**
 * Systemd starts ECS after bootstrap. From outside, the simulator only sees that ECS's
 * configuration exists, so it waits this long instead.
 */
const bootstrapMs = 10_000;

function startAgents(simulator: Simulator, args: Arguments): void {
  const { world, verbs } = simulator;
  const cluster = args.clusters[0]!;
  if (args.ecsAgentAfterMs !== undefined && args.root === undefined) {
    for (const { id } of world.instances.values()) {
      setTimeout(() => verbs.startEcsAgent(id, cluster), args.ecsAgentAfterMs);
    }
  }
  if (args.root === undefined) return;
  const id = nodeId(simulator, 1);
  const file = join(args.root, 'etc/ecs/ecs.config');
  const timer = setInterval(() => {
    readFile(file, 'utf8').then(
      (text) => {
        const name = /^ECS_CLUSTER=["']?([^"'\n]+)/m.exec(text)?.[1];
        if (name === undefined) return;
        clearInterval(timer);
        setTimeout(() => verbs.startEcsAgent(id, name), args.ecsAgentAfterMs ?? bootstrapMs);
      },
      () => {},
    );
  }, 300);
}

async function run(args: Arguments): Promise<void> {
  const started = await startSimulator({
    ...(await optionsFor(args)),
    // The first instances start before `started` exists; the code below announces them.
    onLaunch: ({ id, index }) => {
      if (index >= args.nodes && !args.json) announceLaunch(started, id, index);
    },
  });
  for (const rule of args.faults) started.faults.add(rule);
  for (const limit of args.limits) started.faults.limit(limit);
  const [cluster = 'demo'] = args.clusters;
  for (const service of args.services) started.verbs.createService(cluster, service);
  await started.verbs.scaleTo('ecs-nodes', args.nodes);
  if (args.nodes > 0) printStart(started, args);
  follow(started, args);
  startAgents(started, args);
  for (const event of args.events) {
    setTimeout(() => {
      // Some events, such as protection, change nothing that the simulator prints, so it prints the
      // event.
      if (!args.json) print(`# ${renderTimed(event)}`);
      raise(started, event, cluster).catch((error: unknown) => print(`# ${event.name}: ${(error as Error).message}`));
    }, event.afterMs);
  }
  const end = () => void started.close().then(() => process.exit(0));
  process.once('SIGINT', end).once('SIGTERM', end);
  if (args.forMs !== undefined) setTimeout(end, args.forMs);
}

async function main(): Promise<void> {
  try {
    const args = parseArguments(process.argv.slice(2));
    if (args.help) return void process.stdout.write(help);
    await run(args);
  } catch (error) {
    const usage = error instanceof UsageError;
    process.stderr.write(`simulator: ${(error as Error).message}\n`);
    process.exit(usage ? 64 : 1);
  }
}

await main();
