/** What scenarios look at again and again. */

import assert from 'node:assert/strict';
import type { World } from './contract.ts';

/**
 * The cluster of ecs.config, ECS has the node ACTIVE and connected, and the agent watches. Seconds
 * from the power button to there.
 */
export async function joins({ aws, machine, until }: World, cluster = 'prod', seconds = 60): Promise<number> {
  const began = performance.now();
  await until(`the node is ACTIVE in ${cluster}`, () => aws.containerInstance(cluster)?.status === 'ACTIVE', seconds);
  const took = (performance.now() - began) / 1000;
  await until('the agent says that it has joined', async () =>
    (await machine.readConsole()).includes(`ecs-node: joined the cluster ${cluster}`),
  );
  assert.match((await machine.readText('/etc/ecs/ecs.config')) ?? '', new RegExp(`^ECS_CLUSTER=${cluster}$`, 'm'));
  return took;
}

/**
 * Waits until bootstrap has failed with this exit code, and sees to it that neither ECS nor the
 * agent ever ran.
 */
export async function staysOut({ aws, machine, until }: World, exitCode: number, seconds = 30): Promise<void> {
  await until(
    `bootstrap ends with exit code ${exitCode}`,
    async () => (await machine.readUnit('ecs-node-bootstrap.service'))['ExecMainStatus'] === String(exitCode),
    seconds,
  );
  await until('systemd has dropped the start of ecs', async () => {
    const jobs = await machine.run('/usr/bin/systemctl', 'list-jobs', '--no-legend');
    return !jobs.stdout.includes('ecs.service');
  });
  await neverStartedEcs({ aws, machine });
}

export async function neverStartedEcs({ aws, machine }: Pick<World, 'aws' | 'machine'>): Promise<void> {
  assert.deepEqual(aws.ecsStarts(), [], 'ECS started');
  for (const unit of ['ecs.service', 'ecs-node.service']) {
    assert.equal((await machine.readUnit(unit))['ActiveState'], 'inactive', unit);
  }
}

/** Fails with the lines of ours on the console, not with the whole of it. */
export async function isOnConsole({ machine }: Pick<World, 'machine'>, words: RegExp): Promise<void> {
  const console = await machine.readConsole();
  if (words.test(console)) return;
  const ours = console.split(/[\r\n]+/).filter((line) => /ecs-node: |install\.sh: |"level"/.test(line));
  throw new Error(`nothing on the console like ${words}; ecs-node said:\n${ours.join('\n')}`);
}

/** How often systemd found that ecs.service has no ecs-node to wait for. */
export async function skippedEcs(machine: World['machine']): Promise<number> {
  return (await machine.readJournal('UNIT=ecs.service', '--grep=skipped because of an unmet condition')).length;
}

/** Order in which AWS saw these operations first; those that it never saw are missing. */
export function firstCalls({ aws }: World, ...operations: string[]): string[] {
  const firsts = operations.map(
    (operation) => [operation, aws.calls().findIndex((call) => call.operation === operation)] as const,
  );
  return firsts
    .filter(([, at]) => at >= 0)
    .toSorted(([, a], [, b]) => a - b)
    .map(([operation]) => operation);
}

/**
 * Deeds that end a node's life; none of them may be there when all that happened is that somebody
 * was silent.
 */
export const deadly = [
  'TerminateInstances',
  'TerminateInstanceInAutoScalingGroup',
  'SetInstanceHealth',
  'DeregisterContainerInstance',
  'DeregisterInstance',
];

export function harmedNobody(world: World): void {
  assert.deepEqual(firstCalls(world, ...deadly), [], 'a deadly call');
  assert.equal(world.machine.isRunning, true, 'the machine is off');
}
