/** Which of AWS's endpoints this configuration needs, and whether this node reaches them. */

import type { Config } from '../../config/config.ts';
import { ok, unsure, wrong, type Check } from './check.ts';

/** By the names that AWS_ENDPOINT_URL_NAME uses. */
export function servicesFor({ registrar, metrics, leave, refresh }: Config): string[] {
  const balances = leave.targetGroups.length + leave.loadBalancers.length > 0;
  const needs: [string, boolean][] = [
    ['ECS', true],
    ['EC2', true],
    ['AUTO_SCALING', true],
    ['CLOUDWATCH', metrics.enabled],
    ['ELASTIC_LOAD_BALANCING', balances],
    ['SSM', registrar === 'ssm' || refresh.source?.startsWith('ssm:') === true],
    // Not called by the node, but by Systems Manager's own agent beside it.
    ['SSMMESSAGES', registrar === 'ssm'],
    ['EC2MESSAGES', registrar === 'ssm'],
    ['S3', refresh.source?.startsWith('s3:') === true],
    ['OPSWORKS', registrar === 'opsworks'],
  ];
  return needs.filter(([, isNeeded]) => isNeeded).map(([name]) => name);
}

export const reach: Check = {
  name: 'network',
  async run({ examination }, signal) {
    if (examination === undefined) return unsure('not tried without instance metadata and configuration');
    const all = await examination.readReach(signal);
    const unreached = all.filter(({ trouble }) => trouble !== undefined);
    const reached = all.filter(({ trouble }) => trouble === undefined).map(({ service }) => service);
    return [
      ...(reached.length === 0 ? [] : [ok(`reached: ${reached.join(', ')}`)]),
      ...unreached.map(({ service, trouble }) => wrong(`${service} is not reached: ${trouble!.what}`, trouble!.remedy)),
    ];
  },
};
