/** Records of this node in OpsWorks. */

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
