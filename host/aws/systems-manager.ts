/** Systems Manager's view of this instance. */

import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { SystemsManagerCloud } from '../../core/host.ts';
import { findOnPages } from './pages.ts';
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
      const Filters = [{ Key: 'InstanceIds', Values: [self] }];
      const own = await findOnPages(
        async (NextToken) => {
          const answer = await callAws(call, '*', signal, (options) =>
            client.send(new DescribeInstanceInformationCommand({ Filters, ...(NextToken && { NextToken }) }), options),
          );
          return {
            items: parseList(call, 'InstanceInformationList', answer.InstanceInformationList),
            next: answer.NextToken,
          };
        },
        ({ InstanceId }) => InstanceId === self,
      );
      return own?.PingStatus;
    },
  };
}
