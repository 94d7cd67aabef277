/** A template's resources for given parameters, resolved by moto (resolve.py), not created. */

import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

export interface Resource {
  Type: string;
  Properties: Record<string, unknown>;
  UpdatePolicy?: Record<string, unknown>;
}

/** By logical id, without those whose condition is false. */
export type Resources = Record<string, Resource>;

export interface Order {
  file?: string;
  stack?: string;
  parameters?: Readonly<Record<string, string>>;
}

const needed = { EcsClusterName: 'prod', SubnetIds: 'subnet-1,subnet-2', SecurityGroupIds: 'sg-1' };

/** One start of Python for all of them: it loads moto for some seconds. */
export async function resolveAll(orders: readonly Order[]): Promise<Resources[]> {
  const input = orders.map(({ file = 'cluster.yaml', stack = 'prod', parameters = {} }) => ({
    file: `cloudformation/${file}`,
    stack,
    parameters: file === 'cluster.yaml' ? { ...needed, ...parameters } : parameters,
  }));
  const running = promisify(execFile)(python(), ['test/cloudformation/rig/resolve.py'], { maxBuffer: 2 ** 26 });
  running.child.stdin?.end(JSON.stringify(input));
  const { stdout } = await running;
  return withoutNulls(JSON.parse(stdout)) as Resources[];
}

export async function resolveOne(order: Order): Promise<Resources> {
  const [resources] = await resolveAll([order]);
  return resources!;
}

/** The interpreter that moto is installed for: a virtual environment has both in one folder. */
function python(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const folder = folders.find((each) => isExecutable(join(each, 'moto_server')));
  if (folder === undefined) throw new Error('no moto_server on PATH');
  return join(dirname(join(folder, 'moto_server')), 'python3');
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** CloudFormation leaves AWS::NoValue out of lists; moto leaves null there. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((each) => each !== null).map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutNulls(each)]));
}
