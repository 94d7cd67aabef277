/** EC2's permissions, by dry runs. */

import {
  CreateTagsCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeInstanceStatusCommand,
  DescribeSpotInstanceRequestsCommand,
  DescribeTagsCommand,
  EC2Client,
  ModifyInstanceAttributeCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { Refused, Unavailable } from '../../../core/errors.ts';
import { instanceArn } from '../../../core/identity.ts';
import type { Session } from '../session/session.ts';
import type { OpenProbes } from './subject.ts';

/** EC2 returns this error when a dry run would have succeeded. */
const wouldWork = 'DryRunOperation';

export const openEc2Probes: OpenProbes = ({ identity, callAws, settings }) => {
  const client = new EC2Client(settings('EC2'));
  const self = identity.instanceId;
  const arn = instanceArn(identity);
  const tags = [{ Key: 'ecs-node:doctor', Value: 'dry run' }];
  const tagDry = (signal: AbortSignal) =>
    callAws('ec2:CreateTags', arn, signal, (options) =>
      client.send(new CreateTagsCommand({ Resources: [self], Tags: tags, DryRun: true }), options),
    );
  return {
    'ec2:CreateTags': tagDry,
    'ec2:DescribeTags': (signal) =>
      callAws('ec2:DescribeTags', '*', signal, (options) =>
        client.send(new DescribeTagsCommand({ Filters: [{ Name: 'resource-id', Values: [self] }] }), options),
      ),
    'ec2:DescribeInstances': (signal) =>
      callAws('ec2:DescribeInstances', '*', signal, (options) =>
        client.send(new DescribeInstancesCommand({ InstanceIds: [self] }), options),
      ),
    'ec2:DescribeInstanceStatus': (signal) =>
      callAws('ec2:DescribeInstanceStatus', '*', signal, (options) =>
        client.send(new DescribeInstanceStatusCommand({ InstanceIds: [self] }), options),
      ),
    'ec2:DescribeSpotInstanceRequests': (signal) =>
      callAws('ec2:DescribeSpotInstanceRequests', '*', signal, (options) =>
        client.send(
          new DescribeSpotInstanceRequestsCommand({ Filters: [{ Name: 'instance-id', Values: [self] }] }),
          options,
        ),
      ),
    'ec2:DescribeInstanceAttribute': (signal) =>
      callAws('ec2:DescribeInstanceAttribute', arn, signal, (options) =>
        client.send(
          new DescribeInstanceAttributeCommand({ InstanceId: self, Attribute: 'disableApiTermination' }),
          options,
        ),
      ),
    'ec2:ModifyInstanceAttribute': (signal) =>
      callAws('ec2:ModifyInstanceAttribute', arn, signal, (options) =>
        client.send(
          new ModifyInstanceAttributeCommand({
            InstanceId: self,
            DisableApiTermination: { Value: false },
            DryRun: true,
          }),
          options,
        ),
      ),
    async 'ec2:TerminateInstances'(signal) {
      // An endpoint without dry runs (a stand-in for AWS) must not receive this call.
      await mustKnowDryRuns(tagDry, signal);
      await callAws('ec2:TerminateInstances', arn, signal, (options) =>
        client.send(new TerminateInstancesCommand({ InstanceIds: [self], DryRun: true }), options),
      );
    },
  };
};

async function mustKnowDryRuns(tagDry: (signal: AbortSignal) => Promise<unknown>, signal: AbortSignal): Promise<void> {
  try {
    await tagDry(signal);
  } catch (error) {
    if (error instanceof Refused && error.code === wouldWork) return;
    throw new Unavailable('tried only where a dry run of ec2:CreateTags works first', { cause: error });
  }
  throw new Unavailable('this endpoint does not know dry runs');
}

export interface MetadataOptions {
  hopLimit: number;
  tokensRequired: boolean;
  showsTags: boolean;
}

/**
 * Needs ec2:DescribeInstances, which not every configuration needs. Refused is therefore a normal
 * result.
 */
export async function readMetadataOptions(
  { identity, callAws, settings }: Session,
  signal: AbortSignal,
): Promise<MetadataOptions | undefined> {
  const client = new EC2Client(settings('EC2'));
  const { Reservations = [] } = await callAws('ec2:DescribeInstances', '*', signal, (options) =>
    client.send(new DescribeInstancesCommand({ InstanceIds: [identity.instanceId] }), options),
  );
  const found = Reservations[0]?.Instances?.[0]?.MetadataOptions;
  if (found === undefined) return undefined;
  return {
    hopLimit: found.HttpPutResponseHopLimit ?? 1,
    tokensRequired: found.HttpTokens === 'required',
    showsTags: found.InstanceMetadataTags === 'enabled',
  };
}
