/** Auto Scaling's permissions, tested by calls that change nothing. */

import {
  AutoScalingClient,
  CompleteLifecycleActionCommand,
  DescribeAutoScalingInstancesCommand,
  DescribeLifecycleHooksCommand,
  DescribeScalingActivitiesCommand,
  RecordLifecycleActionHeartbeatCommand,
} from '@aws-sdk/client-auto-scaling';
import { Unavailable } from '../../../core/errors.ts';
import { absent, type OpenProbes } from './subject.ts';

export const openAutoScalingProbes: OpenProbes = ({ identity, callAws, settings }) => {
  const client = new AutoScalingClient(settings('AUTO_SCALING'));
  const InstanceId = identity.instanceId;
  const readGroup = async (signal: AbortSignal): Promise<string> => {
    const { AutoScalingInstances = [] } = await callAws(
      'autoscaling:DescribeAutoScalingInstances',
      '*',
      signal,
      (options) => client.send(new DescribeAutoScalingInstancesCommand({ InstanceIds: [InstanceId] }), options),
    );
    const group = AutoScalingInstances[0]?.AutoScalingGroupName;
    if (group === undefined) throw new Unavailable('cannot be tried: this instance is in no Auto Scaling group');
    return group;
  };
  // No action waits for a hook that does not exist, so there is nothing to extend or complete.
  const noAction = { LifecycleHookName: absent.hook, InstanceId };
  return {
    'autoscaling:DescribeAutoScalingInstances': (signal) =>
      readGroup(signal).catch((error: unknown) => {
        // "In no group" is also an answer.
        if (!(error instanceof Unavailable) || !error.message.startsWith('cannot be tried')) throw error;
      }),
    async 'autoscaling:DescribeLifecycleHooks'(signal) {
      const AutoScalingGroupName = await readGroup(signal);
      await callAws('autoscaling:DescribeLifecycleHooks', '*', signal, (options) =>
        client.send(new DescribeLifecycleHooksCommand({ AutoScalingGroupName }), options),
      );
    },
    async 'autoscaling:DescribeScalingActivities'(signal) {
      const AutoScalingGroupName = await readGroup(signal);
      await callAws('autoscaling:DescribeScalingActivities', '*', signal, (options) =>
        client.send(new DescribeScalingActivitiesCommand({ AutoScalingGroupName, MaxRecords: 1 }), options),
      );
    },
    async 'autoscaling:RecordLifecycleActionHeartbeat'(signal) {
      const AutoScalingGroupName = await readGroup(signal);
      await callAws('autoscaling:RecordLifecycleActionHeartbeat', AutoScalingGroupName, signal, (options) =>
        client.send(new RecordLifecycleActionHeartbeatCommand({ ...noAction, AutoScalingGroupName }), options),
      );
    },
    async 'autoscaling:CompleteLifecycleAction'(signal) {
      const AutoScalingGroupName = await readGroup(signal);
      const none = { ...noAction, AutoScalingGroupName, LifecycleActionResult: 'CONTINUE' };
      await callAws('autoscaling:CompleteLifecycleAction', AutoScalingGroupName, signal, (options) =>
        client.send(new CompleteLifecycleActionCommand(none), options),
      );
    },
  };
};
