// Measures how soon a spot notice reaches ECS, and the AWS calls of a departure by its cause.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../simulator/machine.ts';
import { median, percentile } from './measure.ts';
import { waitFor } from '../simulator/wait-for.ts';
import { hooks, openAccount, type Account } from './node.ts';
import type { Part } from './part.ts';

/** Two cores run this many nodes at once without their starts delaying each other. */
const atOnce = 5;

/** EC2 gives this much time. */
const noticeMs = 120_000;

export const measureDepartures: Part = async (circumstances) => ({
  ...(await measureNotices(circumstances)),
  ...(await measureCalls(circumstances)),
});

const measureNotices: Part = async ({ binary, notices, say }) => {
  const rounds = Math.ceil(notices / atOnce);
  const groups = Array.from({ length: rounds }, (_, round) => ({
    name: `spot-${round}`,
    template: { purchase: 'spot' as const },
  }));
  const account = await openAccount(binary, { groups });
  try {
    const latencies: number[] = [];
    for (const [round, { name }] of groups.entries()) {
      latencies.push(...(await noticeGroup(account, name, Math.min(atOnce, notices - round * atOnce))));
      say(`${latencies.length} of ${notices} spot notices, median so far ${median(latencies).toFixed(0)} ms`);
    }
    const cell = (value: number) => value.toFixed(0);
    const shares = [50, 99].map((percent) => cell(percentile(latencies, percent)));
    return {
      notices: [
        ['', 'notices', 'median', 'p99', 'least', 'most'],
        [
          'spot notice to DRAINING, ms',
          String(latencies.length),
          ...shares,
          cell(Math.min(...latencies)),
          cell(Math.max(...latencies)),
        ],
      ],
    };
  } finally {
    await account.close();
  }
};

/**
 * Sends the notices one after the other, each at a moment that is independent of the node's
 * polling.
 */
async function noticeGroup({ simulator, openNode }: Account, group: string, size: number): Promise<number[]> {
  const { verbs, world } = simulator;
  const instances = await verbs.scaleTo(group, size);
  const nodes: [string, Machine][] = [];
  for (const { id } of instances) nodes.push([id, await openNode(id)]);
  await sleep(3_000);
  const latencies: number[] = [];
  for (const [id, machine] of nodes) {
    await sleep(Math.random() * 2_000);
    const since = performance.now();
    const draining = new Promise<number>((resolve) => {
      world.listeners.add((event) => {
        if (event.kind !== 'container-instance' || event.state !== 'DRAINING') return;
        if (event.instance.instanceId === id) resolve(performance.now() - since);
      });
    });
    verbs.noticeSpot(id, 'terminate', noticeMs);
    latencies.push(await draining);
    machine.kill();
  }
  verbs.setDesiredCapacity(group, 0);
  for (const { id } of instances) verbs.terminate(id);
  return latencies;
}

type Cause = 'spot' | 'scale-in' | 'disk' | 'operator';

/**
 * The node checks its disk often, so that the run does not wait for minutes. The interval changes
 * no call.
 */
const hurry = {
  'autoScaling.terminateHook': 'ecs-node-terminate',
  'autoScaling.launchHook': 'ecs-node-launch',
  'disk.checkSeconds': 1,
  'disk.checks': 2,
  'metrics.enabled': false,
};

const measureCalls: Part = async ({ binary, say }) => {
  const causes: readonly Cause[] = ['spot', 'scale-in', 'disk', 'operator'];
  const groups = causes.map((name) => ({
    name,
    hooks,
    template: { purchase: name === 'spot' ? ('spot' as const) : ('on-demand' as const) },
  }));
  const account = await openAccount(binary, { groups });
  try {
    const columns: string[][] = [];
    for (const cause of causes) {
      const calls = await countCalls(account, cause);
      say(`${cause}: ${calls.length} AWS calls`);
      columns.push(calls);
    }
    const names = [...new Set(columns.flat())].toSorted();
    const count = (calls: string[], name: string) => calls.filter((each) => each === name).length;
    return {
      'departure-calls': [
        ['', ...causes],
        ['all', ...columns.map(({ length }) => String(length))],
        ...names.map((name) => [name, ...columns.map((calls) => String(count(calls, name)))]),
      ],
    };
  } finally {
    await account.close();
  }
};

/** Counts the node's AWS calls from the cause until the node is gone. */
async function countCalls({ simulator, openNode }: Account, cause: Cause): Promise<string[]> {
  const { verbs, world, calls } = simulator;
  const [instance] = await verbs.scaleTo(cause, 1);
  const { id } = instance!;
  const machine = await openNode(id, hurry);
  await waitFor(`${id} is in service`, () => world.groups.get(cause)?.members.get(id)?.state === 'InService');
  // Waits for the last calls of joining.
  await sleep(2_000);
  const before = calls.names(id).length;
  await bringAbout(cause, id, machine, verbs);
  await waitFor(`${id} is gone`, () => !isRunning(world, id), noticeMs + 60_000);
  return calls.names(id).slice(before);
}

async function bringAbout(
  cause: Cause,
  id: string,
  machine: Machine,
  verbs: Account['simulator']['verbs'],
): Promise<void> {
  switch (cause) {
    case 'spot':
      return verbs.noticeSpot(id, 'terminate', noticeMs);
    case 'scale-in':
      return verbs.setDesiredCapacity(cause, 0);
    case 'disk':
      return machine.fillDisk(97);
    case 'operator': {
      const { code, stderr } = await machine.run(['leave']);
      if (code !== 0) throw new Error(`ecs-node leave ended with ${code}: ${stderr}`);
    }
  }
}

function isRunning(world: Account['simulator']['world'], id: string): boolean {
  return world.instances.get(id)?.state === 'running';
}
