/** EC2's instances: a thousand a call by group, two hundred by id, and the actions on one. */

import {
  DeleteTagsCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  ModifyInstanceAttributeCommand,
  type EC2Client,
  type Filter,
  type Instance,
} from '@aws-sdk/client-ec2';
import { Unavailable } from '../../../core/errors.ts';
import type { FleetMachine, FleetNodes } from '../../../core/fleet/fleet-nodes.ts';
import { faultCode, type AwsCall } from '../fault.ts';
import { everyPage, chunks } from '../pages.ts';
import { required } from './paging.ts';

/** The largest page. */
const perPage = 1000;

/** Maximum number of values in a filter. */
const perFilter = 200;

type Reads = Pick<FleetNodes, 'readMachinesOfGroups' | 'readMachines' | 'readMachine' | 'readMachinesNamed'>;

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
    // By filter: in a list of ids, one unknown id makes EC2 refuse the others as well.
    readMachines: (ids, signal) => read('instance-id', ids, signal),
    readMachine: (id, signal) => describeOne(client, callAws, id, signal),
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
    // EC2's XML has an element also for an empty list. Without it, the answer is not EC2's.
    const reservations = required(answer.Reservations, call);
    return { items: reservations.flatMap(({ Instances }) => required(Instances, call)), next: answer.NextToken };
  });
}

/**
 * Asks for the one instance by its id. Only then does EC2 say that an instance does not exist; a
 * filtered list just leaves it out, as an incomplete answer would.
 */
async function describeOne(
  client: EC2Client,
  callAws: AwsCall,
  id: string,
  signal: AbortSignal,
): Promise<FleetMachine | undefined> {
  const call = 'ec2:DescribeInstances';
  const answer = await callAws(call, id, signal, (options) =>
    client.send(new DescribeInstancesCommand({ InstanceIds: [id] }), options).catch((error) => ignoreGone(error, id)),
  );
  if (answer === undefined) return undefined;
  const found = required(answer.Reservations, call).flatMap(({ Instances }) => required(Instances, call));
  const machine = found.map(parse).find(({ instanceId }) => instanceId === id);
  if (machine === undefined) throw new Unavailable(`${call}: EC2 did not answer for ${id}`);
  return machine;
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

type Actions = Pick<FleetNodes, 'readTerminationProtection' | 'clearTerminationProtection' | 'untagMachine'>;

export function openMachineActions(client: EC2Client, callAws: AwsCall): Actions {
  return {
    async readTerminationProtection(InstanceId, signal) {
      const answer = await callAws('ec2:DescribeInstanceAttribute', '*', signal, (options) =>
        client
          .send(new DescribeInstanceAttributeCommand({ InstanceId, Attribute: 'disableApiTermination' }), options)
          .catch((error) => ignoreGone(error, InstanceId)),
      );
      if (answer === undefined) return false;
      return required(answer.DisableApiTermination?.Value, 'ec2:DescribeInstanceAttribute');
    },
    async clearTerminationProtection(InstanceId, signal) {
      await callAws('ec2:ModifyInstanceAttribute', InstanceId, signal, (options) =>
        client.send(
          new ModifyInstanceAttributeCommand({ InstanceId, DisableApiTermination: { Value: false } }),
          options,
        ),
      );
    },
    async untagMachine(id, Key, Value, signal) {
      await callAws('ec2:DeleteTags', id, signal, (options) =>
        client.send(new DeleteTagsCommand({ Resources: [id], Tags: [{ Key, Value }] }), options),
      );
    },
  };
}

/** EC2 says that this instance does not exist. Its message names the id. */
function ignoreGone(error: unknown, id: string): undefined {
  if (faultCode(error) === 'InvalidInstanceID.NotFound' && String((error as Error).message).includes(id)) {
    return undefined;
  }
  throw error;
}
