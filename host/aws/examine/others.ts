/** The permissions of CloudWatch and Systems Manager. */

import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { OpenProbes } from './subject.ts';

/**
 * CloudWatch refuses values older than two weeks, so nothing is published and nothing costs money.
 */
const tooOldMs = 30 * 86_400_000;

export const openOtherProbes: OpenProbes = ({ identity, callAws, settings }, { namespace }) => ({
  'cloudwatch:PutMetricData': (signal) => {
    const client = new CloudWatchClient(settings('CLOUDWATCH'));
    const Dimensions = [{ Name: 'InstanceId', Value: identity.instanceId }];
    const datum = {
      MetricName: 'DiskSpaceUtilization',
      Value: 0,
      Timestamp: new Date(Date.now() - tooOldMs),
      Dimensions,
    };
    return callAws('cloudwatch:PutMetricData', `namespace ${namespace}`, signal, (options) =>
      client.send(new PutMetricDataCommand({ Namespace: namespace, MetricData: [datum] }), options),
    );
  },
  'ssm:DescribeInstanceInformation': (signal) => {
    const client = new SSMClient(settings('SSM'));
    const Filters = [{ Key: 'InstanceIds', Values: [identity.instanceId] }];
    return callAws('ssm:DescribeInstanceInformation', '*', signal, (options) =>
      client.send(new DescribeInstanceInformationCommand({ Filters }), options),
    );
  },
});
