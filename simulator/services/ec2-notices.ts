/**
 * EC2's API for interruptions and scheduled events: the second source beside the metadata service.
 */

import { Refusal } from '../refusal.ts';
import { findInstance } from '../world/instances.ts';
import type { Instance, MaintenanceEvent } from '../world/state.ts';
import { stateOf } from './ec2-describe.ts';
import type { CallContext } from './service.ts';

interface Filter {
  Name: string;
  Value: string[] | undefined;
}

export function describeInstanceStatus(
  { InstanceId, IncludeAllInstances }: { InstanceId: string[] | undefined; IncludeAllInstances: boolean | undefined },
  { world }: CallContext,
): object {
  const chosen = InstanceId ? InstanceId.map((id) => findInstance(world, id)) : [...world.instances.values()];
  const shown = chosen.filter(({ state }) => IncludeAllInstances === true || state === 'running');
  return {
    instanceStatusSet: shown.map((instance) => ({
      instanceId: instance.id,
      availabilityZone: instance.zone,
      instanceState: stateOf(instance.state),
      eventsSet: instance.notices.maintenance.filter(({ isClaimed }) => isClaimed !== true).map(renderEvent),
    })),
  };
}

/** EC2 keeps listing an event that is over; the description then says so. */
function renderEvent({ id, code, description, notBefore, notAfter }: MaintenanceEvent): object {
  return {
    instanceEventId: id,
    code,
    description,
    notBefore: new Date(notBefore),
    ...(notAfter !== undefined && { notAfter: new Date(notAfter) }),
  };
}

/** Returns one request for each spot instance, as Auto Scaling makes them. */
export function describeSpotInstanceRequests(
  { SpotInstanceRequestId, Filter = [] }: { SpotInstanceRequestId: string[] | undefined; Filter: Filter[] | undefined },
  { world }: CallContext,
): object {
  const requests = [...world.instances.values()].filter(({ purchase }) => purchase === 'spot').map(renderRequest);
  const found = requests.filter(
    (request) =>
      (SpotInstanceRequestId?.includes(request.spotInstanceRequestId) ?? true) &&
      Filter.every(({ Name, Value = [] }) => Value.includes(fieldOf(request, Name))),
  );
  return { spotInstanceRequestSet: found };
}

function renderRequest(instance: Instance) {
  return {
    spotInstanceRequestId: `sir-${instance.id.slice(2, 10)}`,
    instanceId: instance.id,
    state: instance.state === 'terminated' ? 'closed' : 'active',
    type: 'one-time',
    status: { code: statusOf(instance), message: '' },
  };
}

function statusOf({ state, notices: { spot } }: Instance): string {
  if (state === 'terminated') return 'instance-terminated-no-capacity';
  if (spot === undefined || spot.isClaimed === true) return 'fulfilled';
  return spot.action === 'terminate' ? 'marked-for-termination' : 'marked-for-stop';
}

function fieldOf(request: ReturnType<typeof renderRequest>, name: string): string {
  switch (name) {
    case 'instance-id':
      return request.instanceId;
    case 'state':
      return request.state;
    case 'status-code':
      return request.status.code;
    default:
      throw new Refusal('InvalidParameterValue', `The filter '${name}' is invalid`);
  }
}
