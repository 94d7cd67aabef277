// Measures one agent over a long time under faults, at ten times its usual pace: whether memory,
// handles or the log grow.
import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogLine, Machine } from '../simulator/machine.ts';
import type { FaultRule } from '../simulator/faults.ts';
import { median, readCpu, readMemory } from './measure.ts';
import { hooks, openAccount, type Account } from './node.ts';
import type { Part } from './part.ts';

/** A tenth of each default interval, or the least that can be set. */
const tenTimes = {
  'spot.pollSeconds': 1,
  'autoScaling.pollSeconds': 1,
  'rebalance.pollSeconds': 3,
  'maintenance.pollSeconds': 10,
  'ecsAgent.pollSeconds': 5,
  'docker.pollSeconds': 5,
  'disk.checkSeconds': 6,
  'metrics.everySeconds': 30,
  'daemonTasks.definitions': ['logs'],
  'daemonTasks.everySeconds': 5,
  'daemonTasks.revisionSeconds': 30,
  'ports.enabled': true,
  'ports.everySeconds': 1,
};

/** EC2 replaces them every six hours. */
const credentialsMs = (6 * 3_600_000) / 10;

const sampleEveryMs = 5_000;

/** Each fault lasts this long and is followed by a rest. It ends before the node would leave. */
const faultMs = 20_000;

interface Sample {
  atMs: number;
  pssMiB: number;
  anonymousMiB: number;
  cpuMs: number;
  childrenCpuMs: number;
  handles: number;
  threads: number;
}

interface Life {
  account: Account;
  id: string;
  machine: Machine;
}

/** Begins a fault; the returned function ends it. */
type Fault = (life: Life) => (() => unknown) | Promise<() => unknown>;

const byRule =
  (rule: FaultRule): Fault =>
  ({ account }) =>
    account.simulator.faults.add(rule);

const faults: Record<string, Fault> = {
  'AWS throttles': byRule({ effect: { kind: 'throttle' } }),
  'AWS answers with errors': byRule({ effect: { kind: 'error', code: 'InternalFailure', status: 500 } }),
  'AWS never answers': byRule({ effect: { kind: 'hang' } }),
  'answers of AWS are lost': byRule({ effect: { kind: 'cut' } }),
  'the metadata service refuses': byRule({ service: 'imds', effect: { kind: 'refuse' } }),
  'the metadata service is slow': byRule({ service: 'imds', effect: { kind: 'latency', ms: 1_500 } }),
  'the ECS agent does not answer': byRule({ service: 'introspection', effect: { kind: 'hang' } }),
  'the disk is full, and images can go': async ({ machine }) => {
    machine.prunesTo(20);
    await machine.fillDisk(97);
    return () => machine.fillDisk(20);
  },
  'a rebalance is recommended': ({ account, id }) => {
    account.simulator.verbs.recommendRebalance(id);
    return () => account.simulator.verbs.recommendRebalance(id, false);
  },
  'a daemon task ends': ({ account: { simulator } }) => {
    const tasks = simulator.world.clusters.get('demo')!.tasks.values();
    for (const { arn, lastStatus } of tasks) if (lastStatus === 'RUNNING') simulator.verbs.endTask('demo', arn);
    return () => {};
  },
  'the operator reloads': ({ machine }) => {
    machine.process!.kill('SIGHUP');
    return () => {};
  },
};

export const measureLong: Part = async ({ binary, minutes, say }) => {
  const log = { lines: 0, bytes: 0, byMessage: new Map<string, number>() };
  const account = await openAccount(binary, {
    groups: [{ name: 'long', hooks: hooks.slice(1), template: { purchase: 'spot' } }],
    settings: { credentials: { lifetimeMs: credentialsMs } },
  });
  const stop = new AbortController();
  try {
    account.simulator.verbs.registerTaskDefinition('logs', { cpu: 32, memory: 64 });
    const { id } = (await account.simulator.verbs.scaleTo('long', 1))[0]!;
    const settings = { ...tenTimes, 'autoScaling.terminateHook': 'ecs-node-terminate' };
    const machine = await account.openNode(id, settings, binary, (line) => count(log, line));
    const life = { account, id, machine };
    const [pid, called] = [machine.process!.pid!, countCalls(account)];
    const before = { lines: log.lines, bytes: log.bytes };
    const disturbing = disturb(life, minutes * 60_000, stop.signal);
    const samples = await follow(life, pid, minutes * 60_000, say);
    stop.abort();
    const lived = await disturbing;
    const written = { lines: log.lines - before.lines, bytes: log.bytes - before.bytes, byMessage: log.byMessage };
    return { long: render(samples, lived, called, written) };
  } finally {
    stop.abort();
    await account.close();
  }
};

function count(log: { lines: number; bytes: number; byMessage: Map<string, number> }, line: LogLine): void {
  log.lines += 1;
  log.bytes += JSON.stringify(line).length + 1;
  log.byMessage.set(line.message, (log.byMessage.get(line.message) ?? 0) + 1);
}

function countCalls({ simulator }: Account): { aws: number; metadata: number } {
  const called = { aws: 0, metadata: 0 };
  simulator.calls.listen(({ service }) => {
    if (service === 'imds') called.metadata += 1;
    else if (service !== 'introspection') called.aws += 1;
  });
  return called;
}

/** Lets one fault after another happen. Returns how many there were. */
async function disturb(life: Life, forMs: number, signal: AbortSignal): Promise<number> {
  const names = Object.keys(faults);
  const pause = () => sleep(faultMs, undefined, { signal }).catch(() => {});
  const start = performance.now();
  let lived = 0;
  await pause();
  while (!signal.aborted && performance.now() - start < forMs) {
    const end = await faults[names[lived % names.length]!]!(life);
    lived += 1;
    await pause();
    await end();
    await pause();
  }
  return lived;
}

/** Samples the agent. Throws if it has ended, or if ECS no longer counts on the node. */
async function follow(life: Life, pid: number, forMs: number, say: (text: string) => void): Promise<Sample[]> {
  const start = performance.now();
  const samples: Sample[] = [];
  for (;;) {
    if (life.machine.process?.pid !== pid) throw new Error('the agent ended during the measurement');
    const atMs = performance.now() - start;
    const [memory, cpu] = [await readMemory(pid), await readCpu(pid)];
    const handles = (await readdir(`/proc/${pid}/fd`)).length;
    const threads = (await readdir(`/proc/${pid}/task`)).length;
    samples.push({ atMs, ...memory, ...cpu, handles, threads });
    if (samples.length % 120 === 0)
      say(`${(atMs / 60_000).toFixed(0)} minutes, ${memory.anonymousMiB.toFixed(1)} MiB anonymous`);
    if (atMs >= forMs) return samples;
    await sleep(sampleEveryMs);
  }
}

interface Written {
  lines: number;
  bytes: number;
  byMessage: Map<string, number>;
}

function render(samples: Sample[], lived: number, called: { aws: number; metadata: number }, log: Written): string[][] {
  // The first minute is the start. A tenth holds several garbage collections and faults.
  const steady = samples.filter(({ atMs }) => atMs >= 60_000);
  const tenth = Math.max(1, Math.floor(steady.length / 10));
  const [first, last] = [steady.slice(0, tenth), steady.slice(-tenth)];
  const hours = samples.at(-1)!.atMs / 3_600_000;
  const cpuHours = (steady.at(-1)!.atMs - steady[0]!.atMs) / 3_600_000;
  const row = (name: string, pick: (sample: Sample) => number, digits = 1) => [
    name,
    ...[first, last].map((each) => median(each.map(pick)).toFixed(digits)),
    Math.max(...steady.map(pick)).toFixed(digits),
  ];
  const single = (name: string, value: number, digits = 0) => [name, '', value.toFixed(digits), ''];
  const used = (pick: (sample: Sample) => number) => (pick(steady.at(-1)!) - pick(steady[0]!)) / 1000 / cpuHours;
  const loudest = [...log.byMessage].toSorted(([, one], [, other]) => other - one).slice(0, 3);
  return [
    ['', 'first tenth', 'last tenth', 'most'],
    row('PSS MiB', ({ pssMiB }) => pssMiB),
    row('anonymous MiB', ({ anonymousMiB }) => anonymousMiB),
    row('open files and sockets', ({ handles }) => handles, 0),
    row('threads', ({ threads }) => threads, 0),
    single('minutes, each of which stands for ten', hours * 60),
    single('faults of 20 s', lived),
    single('calls to AWS', called.aws),
    single('metadata requests', called.metadata),
    single(
      'CPU s per hour, of the agent itself',
      used(({ cpuMs }) => cpuMs),
      1,
    ),
    single(
      'CPU s per hour, of its children',
      used(({ childrenCpuMs }) => childrenCpuMs),
      1,
    ),
    single('log lines per hour', log.lines / hours),
    single('log kB per hour', log.bytes / 1000 / hours),
    ...loudest.map(([message, times]) => single(`… of which "${message}"`, times / hours)),
  ];
}
