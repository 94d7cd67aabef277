/** The node's Auto Scaling group, with its lifecycle hooks and its warm pool. */

import { AutoScalingClient, DescribeAutoScalingGroupsCommand } from '@aws-sdk/client-auto-scaling';
import type { LifecycleHook } from '../../../core/host.ts';
import { openGroup } from '../group.ts';
import type { Session } from '../session/session.ts';

export interface GroupFacts {
  name: string;
  /** The state of this instance. */
  lifecycleState: string;
  hooks: LifecycleHook[];
  /** Undefined: the role may not read it. */
  hasWarmPool: boolean | undefined;
}

/**
 * Undefined when the instance is in no group. Throws Refused when the role may not read the group
 * or its hooks.
 */
export async function readGroup(session: Session, signal: AbortSignal): Promise<GroupFacts | undefined> {
  const client = new AutoScalingClient(session.settings('AUTO_SCALING'));
  const group = openGroup(session);
  try {
    const membership = await group.readMembership(signal);
    if (membership === undefined) return undefined;
    const { group: name, lifecycleState } = membership;
    const [hooks, hasWarmPool] = await Promise.all([
      group.readHooks(name, signal),
      readWarmPool(client, session, name, signal),
    ]);
    return { name, lifecycleState, hooks, hasWarmPool: lifecycleState.startsWith('Warmed:') || hasWarmPool };
  } finally {
    client.destroy();
    group.destroy();
  }
}

/** The node itself never makes this call, so a role without the permission is correct. */
async function readWarmPool(
  client: AutoScalingClient,
  { callAws }: Session,
  name: string,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  try {
    const { AutoScalingGroups = [] } = await callAws('autoscaling:DescribeAutoScalingGroups', '*', signal, (options) =>
      client.send(new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [name] }), options),
    );
    return AutoScalingGroups[0]?.WarmPoolConfiguration !== undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
