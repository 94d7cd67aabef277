/** The permissions of CloudWatch, EventBridge and Systems Manager. */

import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { eventSource } from '../../../core/events/event-source.ts';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import { mustBeAccepted } from '../events.ts';
import type { OpenProbes } from './subject.ts';

/**
 * CloudWatch refuses values older than two weeks, so nothing is published and nothing costs money.
 */
const tooOldMs = 30 * 86_400_000;

export const openOtherProbes: OpenProbes = ({ identity, callAws, settings }, { namespace, bus }) => ({
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
  // A detail that is no JSON: EventBridge checks the permission, and then refuses the entry.
  'events:PutEvents': (signal) => {
    const client = new EventBridgeClient(settings('EVENTBRIDGE'));
    const entry = { EventBusName: bus, Source: eventSource, DetailType: 'doctor', Detail: 'no JSON' };
    return callAws('events:PutEvents', `event bus ${bus}`, signal, async (options) =>
      mustBeAccepted(await client.send(new PutEventsCommand({ Entries: [entry] }), options), bus ?? ''),
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
