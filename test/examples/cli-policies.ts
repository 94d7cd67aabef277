/** The policies that the program prints for the cluster of the examples. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Policy } from '../../iam/policy.ts';

export const scope = { partition: 'aws', region: 'eu-west-1', account: '123456789012', cluster: 'prod' };
export const group = 'prod-nodes';

const commands: Record<string, string[]> = {
  'ecs-node': ['--registrar', 'ssm', '--set', 'events.bus=default', '--group', group],
  'ecs-agent': ['--for', 'ecs-agent'],
  'systems-manager': ['--for', 'systems-manager'],
};

export const policyNames = Object.keys(commands);

export async function printPolicy(binary: string, name: string): Promise<Policy> {
  const flags = ['--cluster', scope.cluster, '--region', scope.region, '--account', scope.account];
  const { stdout } = await promisify(execFile)(binary, ['policy', ...flags, ...commands[name]!]);
  return JSON.parse(stdout) as Policy;
}
