/** OpsWorks' records of a stack's instances: all in one answer, and what may be done to one. */

import {
  DeregisterInstanceCommand,
  DescribeInstancesCommand,
  DescribeStacksCommand,
  UnassignInstanceCommand,
  type Instance,
  type OpsWorksClient,
} from '@aws-sdk/client-opsworks';
import { Refused } from '../../../core/errors.ts';
import type { FleetNodes, FleetRecord } from '../../../core/fleet-nodes.ts';
import type { Ask } from '../fault.ts';
import { whole } from './room.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type Verbs = Pick<FleetNodes, 'readRecords' | 'readRecord' | 'unassignRecord' | 'deregisterRecord'>;

/** `fleetRegion` is where EC2 is asked for the instances of the records. */
export function openRecords(client: OpsWorksClient, ask: Ask, fleetRegion: string): Verbs {
  const call = 'opsworks:DescribeInstances';
  return {
    async readRecords(stack, signal) {
      const StackId = await findStack(client, ask, stack, fleetRegion, signal);
      const answer = await ask(call, StackId, signal, (options) =>
        client.send(new DescribeInstancesCommand({ StackId }), options),
      );
      return whole(answer.Instances, call).flatMap(parse);
    },
    async readRecord(id, signal) {
      const answer = await ask(call, id, signal, (options) =>
        client.send(new DescribeInstancesCommand({ InstanceIds: [id] }), options),
      ).catch(orGone);
      return answer && whole(answer.Instances, call).flatMap(parse)[0];
    },
    async unassignRecord(InstanceId, signal) {
      await ask('opsworks:UnassignInstance', InstanceId, signal, (options) =>
        client.send(new UnassignInstanceCommand({ InstanceId }), options),
      );
    },
    async deregisterRecord(InstanceId, signal) {
      await ask('opsworks:DeregisterInstance', InstanceId, signal, (options) =>
        client.send(new DeregisterInstanceCommand({ InstanceId }), options),
      ).catch(orGone);
    },
  };
}

async function findStack(
  client: OpsWorksClient,
  ask: Ask,
  idOrName: string,
  fleetRegion: string,
  signal: AbortSignal,
): Promise<string> {
  const isId = uuid.test(idOrName);
  // By name all stacks must be listed: there is no filter.
  const answer = await ask('opsworks:DescribeStacks', idOrName, signal, (options) =>
    client.send(new DescribeStacksCommand(isId ? { StackIds: [idOrName] } : {}), options),
  ).catch(orGone);
  const [stack, ...more] = (answer?.Stacks ?? []).filter(({ StackId, Name }) => (isId ? StackId : Name) === idOrName);
  if (stack?.StackId === undefined) throw new Refused(`there is no OpsWorks stack ${idOrName}`, { code: 'NoStack' });
  if (more.length > 0)
    throw new Refused(`several OpsWorks stacks are called ${idOrName}: use the id`, { code: 'NotUnique' });
  // EC2 of another region knows none of its instances, which would look like their death.
  if (stack.Region !== fleetRegion) {
    throw new Refused(`OpsWorks stack ${idOrName} is of ${stack.Region}, the fleet is asked for in ${fleetRegion}`, {
      code: 'WrongRegion',
    });
  }
  return stack.StackId;
}

/** Nothing but EC2 instances that have registered: what stands elsewhere, or what OpsWorks has launched itself, is not ours to judge. */
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
  const createdAt = Date.parse(whole(CreatedAt, 'opsworks:DescribeInstances'));
  return [
    { id: InstanceId, hostname: Hostname, instanceId: Ec2InstanceId, status: Status, layerIds: LayerIds, createdAt },
  ];
}

/** A record that is gone is what was wanted. */
function orGone(error: unknown): undefined {
  if (error instanceof Refused && error.code === 'ResourceNotFoundException') return undefined;
  throw error;
}
