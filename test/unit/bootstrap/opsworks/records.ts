/** Records of this node in OpsWorks. */

import type { Cloud, Host } from '../../../../core/host.ts';
import { layerId, stackId, type Stage } from '../stage.ts';

export const installer = '/opsworks-agent-installer/boot-registration';

export function addRecord({ world }: Stage, more: Record<string, unknown> = {}) {
  const record = {
    id: 'r-1',
    stackId,
    ec2InstanceId: world.identity.instanceId,
    hostname: 'ecs-7',
    status: 'online',
    layerIds: [layerId],
    ...more,
  };
  world.opsworks.records.push(record);
  return record;
}

export const refusal = 'Aws::OpsWorks::Errors::ValidationException: the stack takes no such instance';

export function countReads({ world }: Pick<Stage, 'world'>): number {
  return world.calls.of('readRegistration').length + world.calls.of('findRegistration').length;
}

/** OpsWorks says in its answer with this number, counted from 1, that the record does not exist. */
export function hidesOnce(host: Host, wrong: number): Host {
  const { cloud } = host;
  let count = 0;
  const hide = <T>(answer: T): T | undefined => (++count === wrong ? undefined : answer);
  const readRegistration: Cloud['readRegistration'] = async (...args) => hide(await cloud.readRegistration(...args));
  const findRegistration: Cloud['findRegistration'] = async (...args) => hide(await cloud.findRegistration(...args));
  return { ...host, cloud: { ...cloud, readRegistration, findRegistration } };
}
