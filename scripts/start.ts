// `npm start`: builds the binary and plays one node's life against the local AWS, from its launch
// to its replacement.
//
//   npm start                            registers the node with Systems Manager
//   npm start -- --registrar opsworks    registers the node with OpsWorks
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openMachine, type LogLine, type Machine } from '../simulator/machine.ts';
import { layerId, stackId, startSimulator, type Simulator } from '../simulator/simulator.ts';
import { waitFor } from '../simulator/wait-for.ts';
import { ensureBinary } from './binary/ensure-binary.ts';
import { openTimeline, type Timeline } from './life/timeline.ts';
import { readOptions } from './read-options.ts';

const group = 'demo-nodes';

/** The chapters of the first node's life; the second node's life is the same. */
const turns: Record<string, string> = {
  'agent started': 'It joins the cluster and goes to work',
  leaving: 'It leaves in good order',
};

const registrars = ['ssm', 'opsworks'] as const;
const registrar = readRegistrar(process.argv.slice(2));

const onTerminal = process.stdout.isTTY;
console.log('Building the binary for this machine …');
const binary = await ensureBinary();

const folder = await mkdtemp(join(tmpdir(), 'ecs-node-'));
const machines = new Map<string, Machine>();
const timeline = openTimeline(process.stdout, onTerminal, () => performance.now());
const order: string[] = [];
const numberOf = (instanceId: string | undefined) => order.indexOf(instanceId ?? '') + 1;

timeline.chapter('A node is launched');
const simulator = await startSimulator({
  settings: { opsworks: { registeringMs: 800, protectAfterMs: 300 } },
  groups: [
    {
      name: group,
      hooks: [
        { name: 'ecs-node-launch', transition: 'launch' },
        { name: 'ecs-node-terminate', transition: 'terminate' },
      ],
    },
  ],
  onLaunch: ({ id }) => void live(id),
  onTerminate: ({ id }) => {
    timeline.add({ node: numberOf(id), tone: 'end', what: 'the instance is terminated' });
    machines.get(id)?.kill();
  },
});
simulator.calls.listen((call) => {
  if (call.service === 'imds' || call.service === 'introspection') return;
  const failed = call.outcome === 'ok' ? {} : { detail: call.outcome };
  timeline.add({ node: numberOf(call.instanceId), tone: 'call', what: `${call.service}:${call.operation}`, ...failed });
});
simulator.verbs.createService('demo', { name: 'web', desired: 3, minimumHealthyPercent: 0, stopMs: 1_500 });

try {
  await playLife(simulator, timeline);
} finally {
  for (const machine of machines.values()) await machine.close();
  await simulator.close();
  await rm(folder, { recursive: true, force: true });
}

/** Plays the events around the node: its disk fills, and its group launches a replacement. */
async function playLife({ verbs, world, calls }: Simulator, { add, chapter }: Timeline): Promise<void> {
  verbs.setDesiredCapacity(group, 1);
  await waitFor('the first node is in service', () => inService(world, order[0]));
  await waitFor('its first metrics are published', () => calls.find({ operation: 'PutMetricData' }).length > 0);

  chapter('Its disk fills: it takes no new tasks, and finds nothing to remove');
  add({ node: 1, tone: 'fact', what: 'the disk is 97 % full' });
  await machines.get(order[0]!)!.fillDisk(97);
  await waitFor('the node has left', () => world.instances.get(order[0]!)?.state !== 'running');

  await waitFor('its replacement is in service', () => inService(world, order[1]));

  const aws = calls.list.filter(({ service }) => service !== 'imds' && service !== 'introspection');
  const strangers = aws.filter(({ instanceId, params }) => namesAnother(instanceId, params)).length;
  chapter(`Two lives, ${aws.length} AWS calls. Calls that named the instance of another node: ${strangers}.`);
}

/** Plays systemd on an instance, from its launch on. */
async function live(id: string): Promise<void> {
  order.push(id);
  const node = numberOf(id);
  // The replacement starts while the first node still ends.
  if (node === 2) timeline.chapter('The group replaces it');
  timeline.add({ node, tone: 'fact', what: `Auto Scaling launches ${id}` });
  const machine = await openMachine({
    binary,
    root: join(folder, String(node)),
    environment: simulator.environmentFor(id),
    flags: flagsFor(simulator.introspectionEndpoint(id)),
    startEcsAgent: (cluster, hasCheckpoint) => simulator.verbs.startEcsAgent(id, cluster, hasCheckpoint),
    stopEcsAgent: () => simulator.verbs.stopEcsAgent(id),
    onPowerOff: () => simulator.verbs.powerOff(id),
    onLog: (line) => show(node, line),
  });
  machines.set(id, machine);
  const code = await machine.boot();
  if (code !== 0) timeline.add({ node, tone: 'trouble', what: `bootstrap ended with exit code ${code}` });
}

/** Configures a fast life: seconds replace minutes. */
function flagsFor(introspection: string): string[] {
  const settings = {
    cluster: 'demo',
    registrar,
    ...(registrar === 'opsworks' && { 'opsworks.stack': stackId, 'opsworks.layer': layerId }),
    'ecs.introspectionEndpoint': introspection,
    'autoScaling.launchHook': 'ecs-node-launch',
    'autoScaling.terminateHook': 'ecs-node-terminate',
    'autoScaling.pollSeconds': 1,
    'metrics.everySeconds': 10,
    'disk.checkSeconds': 1,
    'disk.checks': 2,
  };
  return Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
}

function show(node: number, { level, message, time: _time, bootId: _bootId, ...fields }: LogLine): void {
  if (level === 'debug' || message === 'step started') return;
  if (node === 1 && turns[message] !== undefined) timeline.chapter(turns[message]);
  const { step, outcome, ...more } = fields;
  const what = message === 'step done' ? `${String(step)}: ${String(outcome)}` : message;
  const detail = Object.entries(more)
    .filter(([, value]) => value !== null && typeof value !== 'object')
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ');
  const tone = level === 'warn' || level === 'error' ? 'trouble' : message === 'step done' ? 'action' : 'fact';
  timeline.add({ node, tone, what, ...(detail === '' ? {} : { detail }) });
}

function namesAnother(own: string | undefined, params: unknown): boolean {
  return [...JSON.stringify(params).matchAll(/\bi-[0-9a-f]{17}\b/g)].some(([id]) => id !== own);
}

function inService(world: Simulator['world'], id: string | undefined): boolean {
  const members = [...(world.groups.get(group)?.members.values() ?? [])];
  return members.some((member) => member.instanceId === id && member.state === 'InService');
}

/** `--registrar opsworks` plays the node with OpsWorks Stacks, which AWS switched off in 2024. */
function readRegistrar(args: readonly string[]): (typeof registrars)[number] {
  const { values } = readOptions(import.meta.filename, {
    args: [...args],
    options: { registrar: { type: 'string', default: 'ssm' } },
  });
  const found = registrars.find((each) => each === values.registrar);
  if (found !== undefined) return found;
  console.error(`--registrar must be one of ${registrars.join(', ')}; found ${values.registrar}`);
  process.exit(64);
}
