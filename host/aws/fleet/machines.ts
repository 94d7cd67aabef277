/**
 * EC2's instances: by the thousand of whole groups, by the two hundred by id, and what may be done
 * to one.
 */

import {
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  ModifyInstanceAttributeCommand,
  type EC2Client,
  type Filter,
  type Instance,
} from '@aws-sdk/client-ec2';
import type { FleetMachine, FleetNodes } from '../../../core/fleet-nodes.ts';
import { faultCode, type AwsCall } from '../fault.ts';
import { everyPage, chunks, required } from './paging.ts';

/** The largest page. */
const perPage = 1000;

/** The most values that a filter takes. */
const perFilter = 200;

type Reads = Pick<FleetNodes, 'readMachinesOfGroups' | 'readMachines' | 'readMachinesNamed'>;

export function openMachineReads(client: EC2Client, callAws: AwsCall): Reads {
  const read = async (Name: string, values: readonly string[], signal: AbortSignal): Promise<FleetMachine[]> => {
    const found: Instance[] = [];
    for (const Values of chunks([...new Set(values)], perFilter)) {
      found.push(...(await describe(client, callAws, [{ Name, Values }], signal)));
    }
    return found.map(parse);
  };
  return {
    readMachinesOfGroups: (groups, signal) => read('tag:aws:autoscaling:groupName', groups, signal),
    // By filter and not by name: a name that EC2 does not know would hide all others.
    readMachines: (ids, signal) => read('instance-id', ids, signal),
    readMachinesNamed: (pattern, signal) => read('tag:Name', [pattern], signal),
  };
}

async function describe(
  client: EC2Client,
  callAws: AwsCall,
  Filters: Filter[],
  signal: AbortSignal,
): Promise<Instance[]> {
  const call = 'ec2:DescribeInstances';
  return everyPage(async (NextToken) => {
    const answer = await callAws(call, '*', signal, (options) =>
      client.send(
        new DescribeInstancesCommand({ Filters, MaxResults: perPage, ...(NextToken && { NextToken }) }),
        options,
      ),
    );
    // EC2's XML leaves nothing out: an empty list is a list.
    const reservations = answer.Reservations ?? [];
    return { items: reservations.flatMap(({ Instances }) => required(Instances, call)), next: answer.NextToken };
  });
}

function parse({
  InstanceId,
  State,
  Placement,
  InstanceType,
  LaunchTime,
  InstanceLifecycle,
  Tags = [],
}: Instance): FleetMachine {
  const call = 'ec2:DescribeInstances';
  return {
    instanceId: required(InstanceId, call),
    state: required(State?.Name, call),
    zone: Placement?.AvailabilityZone ?? '',
    type: InstanceType ?? '',
    launchedAt: required(LaunchTime, call).getTime(),
    purchase: InstanceLifecycle === 'spot' ? 'spot' : 'on-demand',
    tags: Object.fromEntries(Tags.map(({ Key = '', Value = '' }) => [Key, Value])),
  };
}

type Actions = Pick<
  FleetNodes,
  'readTerminationProtection' | 'clearTerminationProtection' | 'tagMachine' | 'untagMachine'
>;

export function openMachineActions(client: EC2Client, callAws: AwsCall): Actions {
  return {
    async readTerminationProtection(InstanceId, signal) {
      const answer = await callAws('ec2:DescribeInstanceAttribute', '*', signal, (options) =>
        client
          .send(new DescribeInstanceAttributeCommand({ InstanceId, Attribute: 'disableApiTermination' }), options)
          .catch(ignoreGone),
      );
      return answer?.DisableApiTermination?.Value === true;
    },
    async clearTerminationProtection(InstanceId, signal) {
      await callAws('ec2:ModifyInstanceAttribute', InstanceId, signal, (options) =>
        client.send(
          new ModifyInstanceAttributeCommand({ InstanceId, DisableApiTermination: { Value: false } }),
          options,
        ),
      );
    },
    async tagMachine(id, Key, Value, signal) {
      await callAws('ec2:CreateTags', id, signal, (options) =>
        client.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key, Value }] }), options),
      );
    },
    async untagMachine(id, Key, Value, signal) {
      await callAws('ec2:DeleteTags', id, signal, (options) =>
        client.send(new DeleteTagsCommand({ Resources: [id], Tags: [{ Key, Value }] }), options),
      );
    },
  };
}

/** Of an instance that EC2 does not know any more there is nothing to tell. */
function ignoreGone(error: unknown): undefined {
  if (faultCode(error) === 'InvalidInstanceID.NotFound') return undefined;
  throw error;
}
