/**
 * Systems Manager. Its agent registers by itself; the node only checks that Session Manager will
 * find it.
 */

import { waitAWhile, waitUntil } from '../poll.ts';
import type { Registrar } from './registrar.ts';

/**
 * The agent registers within seconds of its start, or of its own update. ECS and its tasks wait
 * meanwhile.
 */
const optionalMs = 120_000;

export const ssm: Registrar = {
  async register(host, config, context, signal) {
    const wait = {
      what: `Systems Manager's view of ${host.identity.instanceId}`,
      remedy:
        'see that amazon-ssm-agent runs, that it reaches the ssm, ssmmessages and ec2messages endpoints, and that the role has AmazonSSMManagedInstanceCore and ssm:DescribeInstanceInformation',
      // The agent registers within seconds of its start, though it pings only every five minutes.
      everyMs: 5_000,
      async read(callSignal: AbortSignal) {
        const ping = await host.cloud.readPing(callSignal);
        return ping === 'Online' ? { done: true } : { now: ping ?? 'not registered' };
      },
    };
    const before = context.registered;
    const isSeen =
      config.registration.required === true
        ? await waitUntil(wait, host, config, context, signal)
        : await waitAWhile(wait, Math.min(optionalMs, context.leftMs() / 2), host, context, signal);
    context.registered = { registrar: 'ssm', ...(isSeen === undefined && { unseen: true as const }) };
    return before?.registrar === 'ssm' && before.unseen === context.registered.unseen ? 'unchanged' : 'changed';
  },
  // Terminating an EC2 instance removes it from Systems Manager. There is no record to remove.
  async deregister() {},
};
