/** Checks that several scenarios share. */

import assert from 'node:assert/strict';
import type { World } from './contract.ts';

/**
 * Waits until ECS reports the node ACTIVE and the agent logs that it has joined. Returns the
 * seconds until ACTIVE.
 */
export async function joins({ aws, machine, until }: World, cluster = 'prod'): Promise<number> {
  const began = performance.now();
  await until(`the node is ACTIVE in ${cluster}`, () => aws.containerInstance(cluster)?.status === 'ACTIVE');
  const took = (performance.now() - began) / 1000;
  await until('the agent logs that it has joined', async () =>
    (await machine.readConsole()).includes(`ecs-node: joined the cluster ${cluster}`),
  );
  assert.match((await machine.readText('/etc/ecs/ecs.config')) ?? '', new RegExp(`^ECS_CLUSTER=${cluster}$`, 'm'));
  return took;
}

/** Waits until the bootstrap has failed with this exit code. Fails if ECS or the agent ever ran. */
export async function staysOut({ aws, machine, until }: World, exitCode: number): Promise<void> {
  await until(
    `bootstrap ends with exit code ${exitCode}`,
    async () => (await machine.readUnit('ecs-node-bootstrap.service'))['ExecMainStatus'] === String(exitCode),
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

/** The failure shows only ecs-node's lines of the console. */
export async function isOnConsole({ machine }: Pick<World, 'machine'>, words: RegExp): Promise<void> {
  const console = await machine.readConsole();
  if (words.test(console)) return;
  const ours = console.split(/[\r\n]+/).filter((line) => /ecs-node: |install\.sh: |"level"/.test(line));
  throw new Error(`nothing on the console like ${words}; ecs-node said:\n${ours.join('\n')}`);
}

/**
 * Returns how often systemd skipped the start of ecs.service because the machine has no ecs-node.
 */
export async function skippedEcs(machine: World['machine']): Promise<number> {
  return (await machine.readJournal('UNIT=ecs.service', '--grep=skipped because of an unmet condition')).length;
}

/**
 * Returns these operations in the order of their first call, without operations that were never
 * called.
 */
export function firstCalls({ aws }: World, ...operations: string[]): string[] {
  const firsts = operations.map(
    (operation) => [operation, aws.calls().findIndex((call) => call.operation === operation)] as const,
  );
  return firsts
    .filter(([, at]) => at >= 0)
    .toSorted(([, a], [, b]) => a - b)
    .map(([operation]) => operation);
}

/** Calls that end a node. A node must never make one only because a service did not answer. */
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
