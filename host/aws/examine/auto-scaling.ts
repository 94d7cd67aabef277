/** Auto Scaling's permissions, tested by calls that change nothing. */

import {
  AutoScalingClient,
  CompleteLifecycleActionCommand,
  DescribeAutoScalingInstancesCommand,
  DescribeLifecycleHooksCommand,
  DescribeScalingActivitiesCommand,
  RecordLifecycleActionHeartbeatCommand,
} from '@aws-sdk/client-auto-scaling';
import { isDenied, messageOf, Unavailable } from '../../../core/errors.ts';
import { absent, type OpenProbes } from './subject.ts';

export const openAutoScalingProbes: OpenProbes = ({ identity, callAws, settings }) => {
  const client = new AutoScalingClient(settings('AUTO_SCALING'));
  const InstanceId = identity.instanceId;
  const readGroup = async (signal: AbortSignal): Promise<string | undefined> => {
    const { AutoScalingInstances = [] } = await callAws(
      'autoscaling:DescribeAutoScalingInstances',
      '*',
      signal,
      (options) => client.send(new DescribeAutoScalingInstancesCommand({ InstanceIds: [InstanceId] }), options),
    );
    return AutoScalingInstances[0]?.AutoScalingGroupName;
  };
  /** A refusal of this call says nothing about the permission that is tried with the group. */
  const mustReadGroup = async (signal: AbortSignal): Promise<string> => {
    const group = await readGroup(signal).catch((error: unknown) => {
      if (isDenied(error)) throw new Unavailable(`cannot be tried: ${messageOf(error)}`);
      throw error;
    });
    if (group === undefined) throw new Unavailable('cannot be tried: this instance is in no Auto Scaling group');
    return group;
  };
  // No action waits for a hook that does not exist, so there is nothing to extend or complete.
  const noAction = { LifecycleHookName: absent.hook, InstanceId };
  return {
    'autoscaling:DescribeAutoScalingInstances': readGroup,
    async 'autoscaling:DescribeLifecycleHooks'(signal) {
      const AutoScalingGroupName = await mustReadGroup(signal);
      await callAws('autoscaling:DescribeLifecycleHooks', '*', signal, (options) =>
        client.send(new DescribeLifecycleHooksCommand({ AutoScalingGroupName }), options),
      );
    },
    async 'autoscaling:DescribeScalingActivities'(signal) {
      const AutoScalingGroupName = await mustReadGroup(signal);
      await callAws('autoscaling:DescribeScalingActivities', '*', signal, (options) =>
        client.send(new DescribeScalingActivitiesCommand({ AutoScalingGroupName, MaxRecords: 1 }), options),
      );
    },
    async 'autoscaling:RecordLifecycleActionHeartbeat'(signal) {
      const AutoScalingGroupName = await mustReadGroup(signal);
      await callAws('autoscaling:RecordLifecycleActionHeartbeat', AutoScalingGroupName, signal, (options) =>
        client.send(new RecordLifecycleActionHeartbeatCommand({ ...noAction, AutoScalingGroupName }), options),
      );
    },
    async 'autoscaling:CompleteLifecycleAction'(signal) {
      const AutoScalingGroupName = await mustReadGroup(signal);
      const none = { ...noAction, AutoScalingGroupName, LifecycleActionResult: 'CONTINUE' };
      await callAws('autoscaling:CompleteLifecycleAction', AutoScalingGroupName, signal, (options) =>
        client.send(new CompleteLifecycleActionCommand(none), options),
      );
    },
  };
};
