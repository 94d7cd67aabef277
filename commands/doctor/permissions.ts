/** Finds permissions that the node's role lacks, if a call that changes nothing can show it. */

import { permissionsFor, type Permission } from '../../iam/permissions.ts';
import type { ProbeResult } from '../../host/aws/examine/examination.ts';
import { ok, unsure, wrong, type Check, type Diagnosis, type ExaminedNode } from './check.ts';

/** AWS throttles bursts, EC2 first. */
const atOnce = 6;

export const permissions: Check = {
  name: 'permission',
  async run({ examination, config, identity }, signal) {
    if (examination === undefined || config === undefined) {
      return unsure('none tried without instance metadata and configuration');
    }
    if ((await examination.readCredentialsTrouble()) !== undefined) return unsure('none tried without credentials');
    const all = permissionsFor(config);
    const unreached = await readUnreached(examination, signal);
    const tried = all.filter(({ action, by }) => by === undefined && !unreached.has(serviceOf(action)));
    const verdicts = await mapSome(tried, atOnce, async ({ action }) => examination.tryAction(action, signal));
    const untried = all.filter((each) => by(each) || verdicts[tried.indexOf(each)]?.kind === 'untried');
    const role = identity?.role ?? '';
    return [
      ...tried.flatMap((permission, at) => diagnose(permission, verdicts[at]!, role)),
      ...tellUnreached(all, unreached),
      ...tellUntried(untried.filter(({ action }) => !unreached.has(serviceOf(action)))),
    ];
  },
};

const by = ({ by: program }: Permission) => program !== undefined;

/** Calls to an unreachable service would only time out, one after the other. */
async function readUnreached(
  examination: NonNullable<ExaminedNode['examination']>,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const all = await examination.readReach(signal);
  return new Set(all.filter(({ trouble }) => trouble !== undefined).map(({ service }) => service));
}

/** The service's name in a host. For one service it differs from IAM's name. */
function serviceOf(action: string): string {
  const [service = ''] = action.split(':');
  return service === 'cloudwatch' ? 'monitoring' : service;
}

function diagnose({ action, feature }: Permission, verdict: ProbeResult, role: string): Diagnosis[] {
  if (verdict.kind === 'allowed') return [ok(action)];
  if (verdict.kind === 'untried') return [];
  if (verdict.kind === 'unknown') return [unsure(`${action}: ${verdict.why}`)];
  return [wrong(`${action} is denied (needed for ${feature})`, `add it to the role ${role}: see ecs-node policy`)];
}

function tellUnreached(all: readonly Permission[], unreached: ReadonlySet<string>): Diagnosis[] {
  return [...unreached].flatMap((service) => {
    const { length } = all.filter(({ action }) => serviceOf(action) === service);
    return length === 0 ? [] : [unsure(`${length} of ${service} were not tried: the node does not reach that service`)];
  });
}

function tellUntried(all: readonly Permission[]): Diagnosis[] {
  if (all.length === 0) return [];
  const actions = all.map(({ action }) => action).join(' ');
  const mend = `from elsewhere: aws iam simulate-principal-policy --policy-source-arn ROLE-ARN --action-names ${actions}`;
  return [unsure(`${all.length} cannot be tried without doing them`, mend)];
}

/** Keeps the order of the list, and runs at most `count` at a time. */
async function mapSome<T, R>(list: readonly T[], count: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < list.length; at = next++) results[at] = await work(list[at]!);
  };
  await Promise.all(Array.from({ length: count }, worker));
  return results;
}
