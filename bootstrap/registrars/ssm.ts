/** Systems Manager: its agent registers by itself; the node only makes sure that Session Manager will find it. */

import { waitUntil } from '../waiting.ts';
import type { Registrar } from './registrar.ts';

export const ssm: Registrar = {
  async register(host, config, trail, signal) {
    const wait = {
      what: `Systems Manager's view of ${host.identity.instanceId}`,
      remedy:
        'see that amazon-ssm-agent runs, that it reaches the ssm, ssmmessages and ec2messages endpoints, and that the role has AmazonSSMManagedInstanceCore',
      // The agent pings every five minutes, but registers within seconds of its start.
      everyMs: 5_000,
      async look(inner: AbortSignal) {
        const ping = await host.cloud.readPing(inner);
        return ping === 'Online' ? { done: true } : { now: ping ?? 'not registered' };
      },
    };
    await waitUntil(wait, host, config, trail, signal);
    const known = trail.registered?.registrar === 'ssm';
    trail.registered = { registrar: 'ssm' };
    return known ? 'unchanged' : 'changed';
  },
  // EC2 instances leave Systems Manager by being terminated; there is no record to remove.
  async leave() {},
};
