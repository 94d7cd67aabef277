/** The command line of the acceptance. */

import { parseArgs } from 'node:util';

export const actNames = ['scale-out', 'doctor', 'leave-stay', 'disk', 'agent', 'spot', 'scale-in', 'refresh'] as const;

export type ActName = (typeof actNames)[number];

export interface Options {
  cluster: string;
  region: string | undefined;
  /** Instead of the endpoints of AWS. */
  endpoint: string | undefined;
  /** Found by the cluster's nodes or its capacity provider, unless given. */
  group: string | undefined;
  apply: boolean;
  acts: readonly ActName[];
  nodes: number;
  /** The longest wait for one verdict. */
  waitMs: number;
  pollMs: number;
  /** How long the slow task takes to stop. */
  stopSeconds: number;
  /** Role for Fault Injection Service; without it, no spot interruption. */
  fisRole: string | undefined;
}

export const usage = `npm run acceptance -- --cluster NAME [options]

Plays scale out, doctor, leave and stay, a full disk, a killed agent, a spot interruption,
scale in with a slow task, and a refresh on nodes that it launches itself.
Without --apply it prints the plan and changes nothing.

  --cluster NAME     the ECS cluster
  --group NAME       its Auto Scaling group, if the cluster has several
  --region REGION    default: AWS_REGION
  --endpoint-url URL instead of the endpoints of AWS
  --apply            does it
  --only ACT,ACT     ${actNames.join(', ')}
  --nodes N          nodes to launch (2)
  --fis-role ARN     role that Fault Injection Service assumes for the spot interruption
  --wait MINUTES     longest wait for one verdict (20)
  --poll SECONDS     pause between two looks (5)
  --help             prints this
`;

export class UsageError extends Error {}

export function parseOptions(args: readonly string[], environment: NodeJS.ProcessEnv): Options {
  const { values } = read(args);
  if (values.cluster === undefined) throw new UsageError('--cluster is missing');
  const asked = values.only?.split(',') ?? [...actNames];
  const unknown = asked.find((name) => !actNames.includes(name as ActName));
  if (unknown !== undefined) throw new UsageError(`--only: no act ${unknown}; there are ${actNames.join(', ')}`);
  return {
    cluster: values.cluster,
    region: values.region ?? environment['AWS_REGION'],
    endpoint: values['endpoint-url'],
    group: values.group,
    apply: values.apply === true,
    // The other acts need the nodes of the first.
    acts: actNames.filter((name) => name === 'scale-out' || asked.includes(name)),
    nodes: positive('nodes', values.nodes ?? '2'),
    waitMs: positive('wait', values.wait ?? '20') * 60_000,
    pollMs: positive('poll', values.poll ?? '5') * 1000,
    stopSeconds: 45,
    fisRole: values['fis-role'],
  };
}

function read(args: readonly string[]) {
  const string = { type: 'string' } as const;
  const options = {
    cluster: string,
    group: string,
    region: string,
    'endpoint-url': string,
    only: string,
    nodes: string,
    wait: string,
    poll: string,
    'fis-role': string,
    apply: { type: 'boolean' },
  } as const;
  try {
    return parseArgs({ args: [...args], options });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new UsageError(`--${name} must be a number above 0; found ${text}`);
  return value;
}
