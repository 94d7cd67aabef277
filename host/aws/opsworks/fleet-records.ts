/** OpsWorks's records of a stack's instances, all in one answer, and the actions on one of them. */

import {
  DeregisterInstanceCommand,
  DescribeInstancesCommand,
  UnassignInstanceCommand,
  type Instance,
  type OpsWorksClient,
} from '@aws-sdk/client-opsworks';
import { Refused } from '../../../core/errors.ts';
import type { FleetNodes, FleetRecord } from '../../../core/fleet/fleet-nodes.ts';
import type { AwsCall } from '../fault.ts';
import { findStack, unlessGone } from './opsworks-stack.ts';
import { required } from '../fleet/paging.ts';

type Verbs = Pick<FleetNodes, 'readRecords' | 'readRecord' | 'unassignRecord' | 'deregisterRecord'>;

/** `fleetRegion` is the region in which EC2 is asked about the instances of the records. */
export function openRecords(client: OpsWorksClient, callAws: AwsCall, fleetRegion: string): Verbs {
  const call = 'opsworks:DescribeInstances';
  return {
    async readRecords(stack, signal) {
      const StackId = await findStackId(client, callAws, stack, fleetRegion, signal);
      const answer = await callAws(call, StackId, signal, (options) =>
        client.send(new DescribeInstancesCommand({ StackId }), options),
      );
      return required(answer.Instances, call).flatMap(parse);
    },
    async readRecord(id, signal) {
      const answer = await callAws(call, id, signal, (options) =>
        client.send(new DescribeInstancesCommand({ InstanceIds: [id] }), options),
      ).catch(unlessGone);
      return answer && required(answer.Instances, call).flatMap(parse)[0];
    },
    async unassignRecord(InstanceId, signal) {
      await callAws('opsworks:UnassignInstance', InstanceId, signal, (options) =>
        client.send(new UnassignInstanceCommand({ InstanceId }), options),
      );
    },
    async deregisterRecord(InstanceId, signal) {
      await callAws('opsworks:DeregisterInstance', InstanceId, signal, (options) =>
        client.send(new DeregisterInstanceCommand({ InstanceId }), options),
      ).catch(unlessGone);
    },
  };
}

async function findStackId(
  client: OpsWorksClient,
  callAws: AwsCall,
  idOrName: string,
  fleetRegion: string,
  signal: AbortSignal,
): Promise<string> {
  const stack = await findStack(client, callAws, idOrName, (id) => `stack ${id}`, signal);
  if (stack === undefined) throw new Refused(`there is no OpsWorks stack ${idOrName}`, { code: 'NoStack' });
  // EC2 in another region knows none of these instances, so they would look terminated.
  if (stack.region !== fleetRegion) {
    throw new Refused(`OpsWorks stack ${idOrName} is of ${stack.region}, the fleet is asked for in ${fleetRegion}`, {
      code: 'WrongRegion',
    });
  }
  return stack.id;
}

/**
 * Only EC2 instances that have registered. Machines elsewhere, and instances that OpsWorks launched
 * itself, are not the fleet's.
 */
function parse(instance: Instance): FleetRecord[] {
  const {
    InstanceId,
    Ec2InstanceId,
    InfrastructureClass,
    Hostname = '',
    Status = '',
    LayerIds = [],
    CreatedAt,
  } = instance;
  if (InstanceId === undefined || !Ec2InstanceId || InfrastructureClass !== 'ec2') return [];
  const createdAt = Date.parse(required(CreatedAt, 'opsworks:DescribeInstances'));
  return [
    { id: InstanceId, hostname: Hostname, instanceId: Ec2InstanceId, status: Status, layerIds: LayerIds, createdAt },
  ];
}
