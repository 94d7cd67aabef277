/**
 * EC2 Auto Scaling: this instance's group, its hooks, and the calls that take the instance out of
 * it.
 */

import {
  AutoScalingClient,
  CompleteLifecycleActionCommand,
  DescribeAutoScalingInstancesCommand,
  DescribeLifecycleHooksCommand,
  DescribeScalingActivitiesCommand,
  RecordLifecycleActionHeartbeatCommand,
  SetInstanceHealthCommand,
  TerminateInstanceInAutoScalingGroupCommand,
  type Activity,
  type LifecycleHook as AwsHook,
} from '@aws-sdk/client-auto-scaling';
import { Refused, Unavailable } from '../../core/errors.ts';
import type { GroupCloud, LifecycleHook, ScalingActivity } from '../../core/host.ts';
import type { Identity } from '../../core/identity.ts';
import { everyPage, pagesOf } from './pages.ts';
import { parseList } from './parse-list.ts';
import type { Session } from './session/session.ts';

/**
 * The newest come first, 100 on each page. That covers the storm guard's largest limit (1000
 * failures in the window), whatever the size of the group.
 */
const maxActivityPages = 20;

export function openGroup(session: Session): GroupCloud & { destroy(): void } {
  const client = new AutoScalingClient(session.settings('AUTO_SCALING'));
  return {
    destroy: () => client.destroy(),
    ...openMembership(client, session),
    ...openHooks(client, session),
    ...openActivities(client, session),
  };
}

function openMembership(
  client: AutoScalingClient,
  { identity, callAws }: Session,
): Pick<GroupCloud, 'readMembership' | 'terminateInGroup' | 'reportUnhealthy'> {
  const InstanceId = identity.instanceId;
  return {
    async readMembership(signal) {
      const call = 'autoscaling:DescribeAutoScalingInstances';
      const members = await everyPage(async (NextToken) => {
        const input = { InstanceIds: [InstanceId], ...(NextToken && { NextToken }) };
        const answer = await callAws(call, '*', signal, (options) =>
          client.send(new DescribeAutoScalingInstancesCommand(input), options),
        );
        return { items: parseList(call, 'of instances', answer.AutoScalingInstances), next: answer.NextToken };
      });
      // An answer only about other instances does not mean "in no group".
      if (members.length === 0) return undefined;
      const own = members.find((member) => member.InstanceId === InstanceId);
      const { AutoScalingGroupName: group, LifecycleState: lifecycleState } = own ?? {};
      if (typeof group !== 'string' || typeof lifecycleState !== 'string' || lifecycleState === '')
        throw new Unavailable(`${call}: the answer does not say the group and the state of ${InstanceId}`);
      return { group, lifecycleState, protectedFromScaleIn: own?.ProtectedFromScaleIn === true };
    },
    async terminateInGroup(_confirmed, signal) {
      await callAws('autoscaling:TerminateInstanceInAutoScalingGroup', groupArn(identity, '*'), signal, (options) =>
        client.send(
          new TerminateInstanceInAutoScalingGroupCommand({ InstanceId, ShouldDecrementDesiredCapacity: false }),
          options,
        ),
      );
    },
    async reportUnhealthy(_confirmed, signal) {
      await callAws('autoscaling:SetInstanceHealth', groupArn(identity, '*'), signal, (options) =>
        client.send(
          new SetInstanceHealthCommand({ InstanceId, HealthStatus: 'Unhealthy', ShouldRespectGracePeriod: false }),
          options,
        ),
      );
    },
  };
}

function openHooks(
  client: AutoScalingClient,
  { identity, callAws }: Session,
): Pick<GroupCloud, 'readHooks' | 'heartbeat' | 'completeHook'> {
  const InstanceId = identity.instanceId;
  return {
    async readHooks(group, signal) {
      const call = 'autoscaling:DescribeLifecycleHooks';
      const { LifecycleHooks } = await callAws(call, '*', signal, (options) =>
        client.send(new DescribeLifecycleHooksCommand({ AutoScalingGroupName: group }), options),
      );
      return parseList(call, 'of hooks', LifecycleHooks).flatMap(parseHook);
    },
    heartbeat: (group, hook, signal) =>
      ifActive(() =>
        callAws('autoscaling:RecordLifecycleActionHeartbeat', groupArn(identity, group), signal, (options) =>
          client.send(
            new RecordLifecycleActionHeartbeatCommand({
              AutoScalingGroupName: group,
              LifecycleHookName: hook,
              InstanceId,
            }),
            options,
          ),
        ),
      ),
    completeHook: (group, hook, result, signal) =>
      ifActive(() =>
        callAws('autoscaling:CompleteLifecycleAction', groupArn(identity, group), signal, (options) =>
          client.send(
            new CompleteLifecycleActionCommand({
              AutoScalingGroupName: group,
              LifecycleHookName: hook,
              LifecycleActionResult: result,
              InstanceId,
            }),
            options,
          ),
        ),
      ),
  };
}

function openActivities(client: AutoScalingClient, { callAws }: Session): Pick<GroupCloud, 'readActivities'> {
  return {
    async readActivities(group, since, signal) {
      const call = 'autoscaling:DescribeScalingActivities';
      const asked = { AutoScalingGroupName: group, MaxRecords: 100 };
      const pages = pagesOf(async (NextToken) => {
        const answer = await callAws(call, '*', signal, (options) =>
          client.send(new DescribeScalingActivitiesCommand({ ...asked, ...(NextToken && { NextToken }) }), options),
        );
        return { items: parseList(call, 'of activities', answer.Activities), next: answer.NextToken };
      });
      const found: ScalingActivity[] = [];
      let count = 0;
      for await (const activities of pages) {
        found.push(...activities.flatMap(parseActivity).filter(({ at }) => at >= since));
        const oldest = activities.at(-1)?.StartTime?.getTime() ?? Infinity;
        if (++count === maxActivityPages || oldest < since) break;
      }
      return found;
    },
  };
}

/**
 * False when Auto Scaling says that there is nothing to extend or complete: not yet, or no longer.
 * Only the caller can tell which.
 */
async function ifActive(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (error instanceof Refused && /no active lifecycle action/i.test(error.message)) return false;
    throw error;
  }
}

function parseHook(hook: AwsHook): LifecycleHook[] {
  const transition = hook.LifecycleTransition?.endsWith('EC2_INSTANCE_LAUNCHING')
    ? 'launch'
    : hook.LifecycleTransition?.endsWith('EC2_INSTANCE_TERMINATING')
      ? 'terminate'
      : undefined;
  if (hook.LifecycleHookName === undefined || transition === undefined) return [];
  // AWS's own defaults, for fields that AWS omits.
  const heartbeatSeconds = hook.HeartbeatTimeout ?? 3600;
  return [
    {
      name: hook.LifecycleHookName,
      transition,
      heartbeatSeconds,
      globalSeconds: hook.GlobalTimeout ?? Math.min(172_800, 100 * heartbeatSeconds),
      defaultResult: hook.DefaultResult === 'CONTINUE' ? 'CONTINUE' : 'ABANDON',
    },
  ];
}

/**
 * Only the description names the instance and the action: `Launching a new EC2 instance: i-…`,
 * `Terminating EC2 instance: i-…`.
 */
export function parseActivity({ Description = '', StatusCode, StartTime }: Activity): ScalingActivity[] {
  const kind = /^launching/i.test(Description) ? 'launch' : /^terminating/i.test(Description) ? 'terminate' : undefined;
  const instanceId = /\bi-[0-9a-f]{8,17}\b/.exec(Description)?.[0];
  if (kind === undefined || instanceId === undefined || StartTime === undefined) return [];
  return [
    { kind, instanceId, at: StartTime.getTime(), succeeded: StatusCode !== 'Failed' && StatusCode !== 'Cancelled' },
  ];
}

/** The ARN also contains the group's id. IAM accepts a star for it. */
function groupArn({ partition, region, accountId }: Identity, group: string): string {
  return `arn:${partition}:autoscaling:${region}:${accountId}:autoScalingGroup:*:autoScalingGroupName/${group}`;
}
