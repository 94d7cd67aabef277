// What the resident agent costs: memory between publications, CPU time, and the peak while a child of it speaks to AWS.
import { watchProcess, median, type Sample } from './measure.ts';
import { hooks, openAccount } from './node.ts';
import type { Part } from './part.ts';

const group = 'ecs-nodes';

/** Joining is over and V8 has settled; a real node is in this state for all but its first minute. */
const settleMs = 60_000;

/** The hardest that the configuration allows: every notice is asked for each second. */
const settings = { 'spot.pollSeconds': 1, 'autoScaling.terminateHook': 'ecs-node-terminate' };

export const measureAgent: Part = async ({ binary, minutes, say }) => {
  const account = await openAccount(binary, { groups: [{ name: group, hooks: hooks.slice(1) }] });
  try {
    const { simulator } = account;
    const [instance] = await simulator.verbs.scaleTo(group, 1);
    const machine = await account.openNode(instance!.id, settings);
    const askedBefore = simulator.calls.find({ service: 'imds', instanceId: instance!.id }).length;
    const calledBefore = simulator.calls.names(instance!.id).length;
    say(`The agent is watched for ${minutes} minutes.`);
    const samples = await watchProcess(machine.process!.pid!, { everyMs: 1_000, forMs: minutes * 60_000 });
    if (!machine.process) throw new Error('the agent has ended while it was watched');
    const asked = simulator.calls.find({ service: 'imds', instanceId: instance!.id }).length - askedBefore;
    const calls = simulator.calls.names(instance!.id).slice(calledBefore);
    return { agent: render(samples, minutes, asked), 'agent-calls': renderCalls(calls) };
  } finally {
    await account.close();
  }
};

function render(samples: Sample[], minutes: number, asked: number): string[][] {
  const lastMs = samples.at(-1)!.atMs;
  const steady = samples.filter(({ atMs }) => atMs >= Math.min(settleMs, lastMs / 2));
  const alone = steady.filter(({ children }) => children === 0);
  const [first, last] = [steady[0]!, steady.at(-1)!];
  const percentOf = (pick: (sample: Sample) => number) => ((pick(last) - pick(first)) / (last.atMs - first.atMs)) * 100;
  const memory = (name: string, pick: (sample: Sample) => number, toReach: string) => [
    name,
    // A whole minute: garbage is collected once in it.
    median(alone.slice(-60).map(pick)).toFixed(1),
    `${Math.min(...alone.map(pick)).toFixed(1)}–${Math.max(...alone.map(pick)).toFixed(1)}`,
    toReach,
  ];
  const percent = percentOf(({ cpuMs, childrenCpuMs }) => cpuMs + childrenCpuMs);
  return [
    ['', `after ${minutes} minutes`, 'from the second minute on', 'to reach'],
    memory('PSS MiB', ({ pssMiB }) => pssMiB, '≤ 52'),
    memory('anonymous MiB', ({ anonymousMiB }) => anonymousMiB, '≤ 14'),
    memory('RSS MiB', ({ rssMiB }) => rssMiB, ''),
    ['CPU, % of one core', '', percent.toFixed(2), '≤ 0.25'],
    ['… of the agent itself', '', percentOf(({ cpuMs }) => cpuMs).toFixed(2), ''],
    ['… of the children that speak to AWS and ask df', '', percentOf((sample) => sample.childrenCpuMs).toFixed(2), ''],
    ['CPU s per hour', '', (percent * 36).toFixed(1), ''],
    ['peak PSS MiB, with the child', '', Math.max(...samples.map((sample) => sample.familyPssMiB)).toFixed(1), ''],
    ['metadata requests per second', '', (asked / (lastMs / 1000)).toFixed(2), ''],
  ];
}

/** Each group of them starts a child, which costs more than minutes of polling. */
function renderCalls(calls: string[]): string[][] {
  const names = [...new Set(calls)].toSorted();
  return [['', 'calls'], ...names.map((name) => [name, String(calls.filter((each) => each === name).length)])];
}
