/** Checks that this node reaches the AWS endpoints that its configuration needs. */

import type { Config } from '../../config/config.ts';
import { ok, unsure, wrong, type Check, type Diagnosis, type ExaminedNode } from './check.ts';

/** The names that AWS_ENDPOINT_URL_NAME uses. */
export function servicesFor({ registrar, metrics, events, leave, refresh }: Config): string[] {
  const balances = leave.targetGroups.length + leave.loadBalancers.length > 0;
  const needs: [string, boolean][] = [
    ['ECS', true],
    ['EC2', true],
    ['AUTO_SCALING', true],
    ['CLOUDWATCH', metrics.enabled],
    ['EVENTBRIDGE', events.bus !== undefined],
    ['ELASTIC_LOAD_BALANCING', balances],
    ['SSM', registrar === 'ssm' || refresh.source?.startsWith('ssm:') === true],
    // The node does not call it. Systems Manager's own agent on the node does.
    ['SSMMESSAGES', registrar === 'ssm'],
    ['EC2MESSAGES', registrar === 'ssm'],
    ['S3', refresh.source?.startsWith('s3:') === true],
    ['OPSWORKS', registrar === 'opsworks'],
  ];
  return needs.filter(([, isNeeded]) => isNeeded).map(([name]) => name);
}

export const reach: Check = {
  name: 'network',
  async run({ examination, network, config }, signal) {
    if (examination === undefined) return unsure('not tried without instance metadata and configuration');
    const all = await examination.readReach(signal);
    const unreached = all.filter(({ trouble }) => trouble !== undefined);
    const reached = all.filter(({ trouble }) => trouble === undefined).map(({ service }) => service);
    return [
      ...(reached.length === 0 ? [] : [ok(`reached: ${reached.join(', ')}`)]),
      ...unreached.map(({ service, trouble }) => wrong(`${service} is not reached: ${trouble!.what}`, trouble!.remedy)),
      ...judgeSettings(network, unreached.length > 0, config?.ecs.settings ?? {}),
    ];
  },
};

function judgeSettings(
  { usesProxy, hasOnlyHttpProxy, exposesPassword }: ExaminedNode['network'],
  isStuck: boolean,
  agent: Readonly<Record<string, string>>,
): Diagnosis[] {
  const found: Diagnosis[] = [];
  if (exposesPassword) {
    const what = '/etc/ecs-node/environment holds a password or a key, and every user of this machine can read it';
    found.push(wrong(what, 'chmod 600 /etc/ecs-node/environment'));
  }
  if (isStuck && hasOnlyHttpProxy) {
    found.push(
      unsure(
        'ALL_PROXY or HTTP_PROXY is set, but the node calls AWS by https',
        'set HTTPS_PROXY in /etc/ecs-node/environment',
      ),
    );
  }
  if (usesProxy && !Object.keys(agent).some((name) => /^https?_proxy$/i.test(name))) {
    found.push(
      unsure(
        'the ECS agent does not use the proxy of ecs-node',
        'set ecs.settings.HTTPS_PROXY and NO_PROXY unless the agent has interface endpoints (docs/network.md)',
      ),
    );
  }
  return found;
}
