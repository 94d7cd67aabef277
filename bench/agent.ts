// Measures the cost of the resident agent: memory between publications, CPU time, and the peak
// while a child of the agent calls AWS.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { hostArchitecture, provideNode } from '../scripts/binary/node-binaries.ts';
import { executableFlags } from '../scripts/binary/executable-flags.ts';
import type { Machine } from '../simulator/machine.ts';
import { median, takeOwn, watchProcess, type Sample } from './measure.ts';
import { giveCapacityProvider, hooks, openAccount, type Account } from './node.ts';
import type { Part } from './part.ts';

/**
 * After this time the node has joined and V8's memory is steady; a real node spends all but its
 * first minute in this state.
 */
const warmUpMs = 60_000;

/**
 * The agent publishes metrics every five minutes. A shorter run, without its first minute, could
 * miss the cost of the child.
 */
const leastMinutes = 6;

/**
 * The default settings on demand and on spot, where the agent polls more, and spot notices polled
 * half as often.
 */
const lives: Record<string, { purchase: 'on-demand' | 'spot'; settings: Record<string, string | number> }> = {
  'on demand, as by default': { purchase: 'on-demand', settings: {} },
  'spot, as by default': { purchase: 'spot', settings: {} },
  'spot, asked every 2 s': { purchase: 'spot', settings: { 'spot.pollSeconds': 2 } },
};

interface Watched {
  samples: Sample[];
  /** The number of requests to the metadata service. */
  asked: number;
  calls: string[];
}

/** All agents run at the same time, so that a busy moment of the machine affects them equally. */
export const measureAgent: Part = async ({ binary, minutes: asked, say }) => {
  const minutes = Math.max(asked, leastMinutes);
  const kinds = Object.values(lives);
  const groups = kinds.map(({ purchase }, number) => ({
    name: `${number}`,
    hooks: hooks.slice(1),
    template: { purchase },
  }));
  const account = await openAccount(binary, { groups });
  try {
    for (const { name } of groups) giveCapacityProvider(account, name);
    const instances = await Promise.all(
      groups.map(async ({ name }) => (await account.simulator.verbs.scaleTo(name, 1))[0]!),
    );
    say(`${instances.length} agents run for ${minutes} minutes.`);
    const watching = kinds.map(async ({ settings }, number) => {
      // Each agent runs its own copy: the kernel counts a page that two processes map as half for
      // each.
      const folder = join(dirname(binary), String(number));
      await mkdir(folder);
      const machine = await account.openNode(
        instances[number]!.id,
        { ...settings, 'autoScaling.terminateHook': 'ecs-node-terminate' },
        await takeOwn(binary, folder),
      );
      return watchNode(account, instances[number]!.id, machine, minutes * 60_000);
    });
    const floor = watchIdlePoller(dirname(binary), minutes * 60_000);
    const watched = [...(await Promise.all(watching)), await floor];
    return { agent: render(watched, minutes), 'agent-calls': renderCalls(watched[0]!.calls) };
  } finally {
    await account.close();
  }
};

async function watchNode({ simulator }: Account, id: string, machine: Machine, forMs: number): Promise<Watched> {
  const asked = () => simulator.calls.find({ service: 'imds', instanceId: id }).length;
  const [askedBefore, calledBefore] = [asked(), simulator.calls.names(id).length];
  const samples = await watchProcess(machine.process!.pid!, { everyMs: 1_000, forMs });
  if (!machine.process) throw new Error('the agent ended during the measurement');
  return { samples, asked: asked() - askedBefore, calls: simulator.calls.names(id).slice(calledBefore) };
}

/** Runs beside the agents, and shows the share that no agent on Node.js can do without. */
async function watchIdlePoller(folder: string, forMs: number): Promise<Watched> {
  const server = createServer((_, response) => void response.end('ok'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const node = await takeOwn(await provideNode(hostArchitecture()), folder);
  const { port } = server.address() as AddressInfo;
  const program = join(import.meta.dirname, 'idle-poller.cjs');
  const poller = spawn(node, [...executableFlags, program, String(port)], { stdio: 'ignore' });
  try {
    return { samples: await watchProcess(poller.pid!, { everyMs: 1_000, forMs }), asked: 0, calls: [] };
  } finally {
    poller.kill();
    server.closeAllConnections();
    server.close();
  }
}

function render(watched: Watched[], minutes: number): string[][] {
  const row = (name: string, show: (watched: Watched) => string, toReach = '') => [name, ...watched.map(show), toReach];
  const memory = (name: string, pick: (sample: Sample) => number, toReach?: string) => [
    // Takes a whole minute of samples, because V8 collects garbage once a minute.
    row(`${name}, after ${minutes} minutes`, (each) => median(alone(each).slice(-60).map(pick)).toFixed(1), toReach),
    row('… from the second minute on', (each) => renderRange(alone(each).map(pick))),
  ];
  const cpu = (pick: (sample: Sample) => number) => (each: Watched) => percentOf(steady(each), pick).toFixed(2);
  const all = ({ cpuMs, childrenCpuMs }: Sample) => cpuMs + childrenCpuMs;
  return [
    ['', ...Object.keys(lives), 'Node.js, one request a second', 'target'],
    ...memory('PSS MiB', ({ pssMiB }) => pssMiB, '≤ 46'),
    ...memory('anonymous MiB', ({ anonymousMiB }) => anonymousMiB, '≤ 12'),
    ...memory('RSS MiB', ({ rssMiB }) => rssMiB),
    row('peak PSS MiB, with the child', ({ samples }) =>
      Math.max(...samples.map((sample) => sample.familyPssMiB)).toFixed(1),
    ),
    row('CPU, % of one core', cpu(all)),
    row(
      '… of the agent itself',
      cpu(({ cpuMs }) => cpuMs),
    ),
    row(
      '… of the children that call AWS and df',
      cpu(({ childrenCpuMs }) => childrenCpuMs),
    ),
    row('CPU s per hour', (each) => (percentOf(steady(each), all) * 36).toFixed(1)),
    row('metadata requests per second', ({ asked, samples }) => (asked / (samples.at(-1)!.atMs / 1000)).toFixed(2)),
  ];
}

function steady({ samples }: Watched): Sample[] {
  const lastMs = samples.at(-1)!.atMs;
  return samples.filter(({ atMs }) => atMs >= Math.min(warmUpMs, lastMs / 2));
}

/** The samples taken while no child calls AWS. */
function alone(watched: Watched): Sample[] {
  return steady(watched).filter(({ children }) => children === 0);
}

function percentOf(samples: Sample[], pick: (sample: Sample) => number): number {
  const [first, last] = [samples[0]!, samples.at(-1)!];
  return ((pick(last) - pick(first)) / (last.atMs - first.atMs)) * 100;
}

function renderRange(values: number[]): string {
  return `${Math.min(...values).toFixed(1)}–${Math.max(...values).toFixed(1)}`;
}

/** Each group of calls starts a child, which costs more than minutes of polling. */
function renderCalls(calls: string[]): string[][] {
  const names = [...new Set(calls)].toSorted();
  return [['', 'calls'], ...names.map((name) => [name, String(calls.filter((each) => each === name).length)])];
}
