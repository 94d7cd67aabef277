/** Systems Manager's view of this instance. */

import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { SystemsManagerCloud } from '../../core/host.ts';
import { parseList } from './parse-list.ts';
import type { Session } from './session/session.ts';

export function openSystemsManager({
  identity,
  callAws,
  settings,
}: Session): SystemsManagerCloud & { destroy(): void } {
  const client = new SSMClient(settings('SSM'));
  const self = identity.instanceId;
  return {
    destroy: () => client.destroy(),
    async readPing(signal) {
      const call = 'ssm:DescribeInstanceInformation';
      const { InstanceInformationList } = await callAws(call, '*', signal, (options) =>
        client.send(
          new DescribeInstanceInformationCommand({ Filters: [{ Key: 'InstanceIds', Values: [self] }] }),
          options,
        ),
      );
      return parseList(call, 'InstanceInformationList', InstanceInformationList).find(
        ({ InstanceId }) => InstanceId === self,
      )?.PingStatus;
    },
  };
}
