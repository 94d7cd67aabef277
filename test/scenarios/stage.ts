/**
 * A group of one, the shipped binary on it, and the simulator behind it: what every scenario begins
 * with.
 */

import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { inject } from 'vitest';
import { openMachine, type LogLine, type Machine, type MachineOptions } from '../../simulator/machine.ts';
import { layerId, stackId, startSimulator, type Simulator, type SimulatorOptions } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';

export const group = 'nodes';
export const launchHook = 'ecs-node-launch';
export const terminateHook = 'ecs-node-terminate';

export interface Node extends Machine {
  id: string;
  log: LogLine[];
  /** The exit code of its bootstrap. */
  booted: Promise<number>;
  /** A file of it, undefined when there is none. */
  read(path: string): Promise<string | undefined>;
  write(path: string, text: string, mode?: number): Promise<void>;
  /** Switched on again: with another boot id, and without what does not outlive a boot. */
  reboot(): Promise<number>;
  /** `ecs:UpdateContainerInstancesState` …: what AWS saw of this node, in order. */
  calls(): string[];
  /** Its state in the group. */
  state(): string | undefined;
}

export interface Stage {
  simulator: Simulator;
  /** In the order of their launch. */
  nodes: Node[];
  /** The group launches its first node. */
  launch(): Promise<Node>;
  /** The second, third … node that the group launches. */
  nth(count: number): Promise<Node>;
  close(): Promise<void>;
}

export interface StageOptions extends SimulatorOptions {
  /** Beside the cluster and the intervals of a fast life. */
  flags?: readonly string[];
  hooks?: boolean;
  /** Where the nodes look for their ECS agent; by default where the simulator's agent answers. */
  introspection?: string;
  /** By default the nodes run on demand. */
  spot?: boolean;
  /** Beside the standard variables of its instance, or instead of them. */
  environment?: (simulator: Simulator, id: string) => Promise<Record<string, string>>;
  /** Runs the binary: by default the binary itself. */
  binary?: (simulator: Simulator, id: string) => Promise<string>;
  /** The events between a node's launch and its boot. */
  prepare?: (node: Node) => Promise<void> | void;
  /** False: the scenario boots the node itself. */
  boots?: boolean;
  startDocker?: MachineOptions['startDocker'];
  /** False: systemd does not start a killed agent again. */
  restartsAgent?: boolean;
}

/** `--set` for each of them. */
export function settings(values: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(values).flatMap(([key, value]) => ['--set', `${key}=${String(value)}`]);
}

export const opsworks: readonly string[] = settings({
  registrar: 'opsworks',
  'opsworks.stack': stackId,
  'opsworks.layer': layerId,
});

export async function openStage({
  flags = [],
  hooks = true,
  introspection,
  spot = false,
  environment,
  binary = async () => inject('binary'),
  prepare,
  boots = true,
  startDocker,
  restartsAgent = true,
  ...options
}: StageOptions = {}): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'en-'));
  const nodes: Node[] = [];
  const opening: Promise<unknown>[] = [];

  const open = async (id: string): Promise<void> => {
    const log: LogLine[] = [];
    const machine = await openMachine({
      binary: await binary(simulator, id),
      root: join(folder, String(nodes.length + opening.length)),
      environment: { ...simulator.environmentFor(id), ...(await environment?.(simulator, id)) },
      flags: [...fast(introspection ?? simulator.introspectionEndpoint(id)), ...(hooks ? hookFlags : []), ...flags],
      startEcsAgent: (cluster, hasCheckpoint) => simulator.verbs.startEcsAgent(id, cluster, hasCheckpoint),
      stopEcsAgent: () => simulator.verbs.stopEcsAgent(id),
      onPowerOff: () => simulator.verbs.powerOff(id),
      onLog: (line) => log.push(line),
      restartsAgent,
      ...(startDocker !== undefined && { startDocker }),
    });
    const more = {
      id,
      log,
      booted: Promise.resolve(-1),
      read: (path: string) => readFile(join(machine.root, path), 'utf8').catch(() => undefined),
      async write(path: string, text: string, mode = 0o644) {
        await mkdir(dirname(join(machine.root, path)), { recursive: true });
        await writeFile(join(machine.root, path), text, { mode });
      },
      async reboot() {
        simulator.verbs.stopEcsAgent(id);
        await rm(join(machine.root, 'run'), { recursive: true });
        await mkdir(join(machine.root, 'run'));
        await more.write('proc/sys/kernel/random/boot_id', `${randomUUID()}\n`);
        return machine.boot();
      },
      calls: () => simulator.calls.names(id),
      state: () => simulator.world.groups.get(group)?.members.get(id)?.state,
    };
    // Not spread: `process` of a machine is a getter.
    const node = Object.assign(Object.create(machine) as Machine, more);
    // As on a Nitro instance: without it, a first boot asks for its identity for two seconds.
    await more.write('sys/devices/virtual/dmi/id/board_asset_tag', `${id}\n`);
    await prepare?.(node);
    if (boots) node.booted = machine.boot();
    nodes.push(node);
  };

  const simulator = await startSimulator({
    groups: [
      {
        name: group,
        hooks: hooks
          ? [
              { name: launchHook, transition: 'launch' },
              { name: terminateHook, transition: 'terminate' },
            ]
          : [],
        template: { purchase: spot ? 'spot' : 'on-demand' },
      },
    ],
    ...options,
    onLaunch({ id }) {
      const stopped = nodes.find((node) => node.id === id);
      if (stopped) stopped.booted = stopped.reboot();
      else opening.push(open(id));
    },
    onTerminate: ({ id }) => nodes.find((node) => node.id === id)?.kill(),
  });

  const nth = async (count: number): Promise<Node> => {
    await waitFor(`node ${count} is launched`, () => nodes.length >= count);
    return nodes[count - 1]!;
  };
  return {
    simulator,
    nodes,
    async launch() {
      simulator.verbs.setDesiredCapacity(group, 1);
      return nth(1);
    },
    nth,
    async close() {
      await Promise.allSettled(opening);
      for (const node of nodes) await node.close();
      await simulator.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const hookFlags = settings({ 'autoScaling.launchHook': launchHook, 'autoScaling.terminateHook': terminateHook });

/** Intervals of minutes on a real node last seconds here. */
function fast(introspection: string): string[] {
  return settings({
    cluster: 'demo',
    'ecs.introspectionEndpoint': introspection,
    'autoScaling.pollSeconds': 1,
    'disk.checkSeconds': 1,
    'disk.checks': 2,
    'metrics.everySeconds': 10,
  });
}
