/**
 * The leave queue of the cluster. Each entry is an attribute of a container instance, so that no
 * table or lock is needed.
 */

import {
  DeleteAttributesCommand,
  ListAttributesCommand,
  PutAttributesCommand,
  type ECSClient,
} from '@aws-sdk/client-ecs';
import { Refused } from '../../../core/errors.ts';
import type { ClusterCloud } from '../../../core/host.ts';
import { parseList } from '../parse-list.ts';
import { queuePrefix } from './ecs-answers.ts';
import { everyPage } from '../pages.ts';
import type { Session } from '../session/session.ts';

const targetType = 'container-instance';

const attribute = (reason: string) => `${queuePrefix}${reason}`;

export function openLeaveQueue(
  client: ECSClient,
  { callAws }: Session,
): Pick<ClusterCloud, 'queueToLeave' | 'readLeaveQueue' | 'unqueue'> {
  const read: ClusterCloud['readLeaveQueue'] = async (cluster, reason, signal) => {
    const call = 'ecs:ListAttributes';
    const attributes = await everyPage(async (nextToken) => {
      const answer = await callAws(call, cluster, signal, (options) =>
        client.send(
          new ListAttributesCommand({
            cluster,
            targetType,
            attributeName: attribute(reason),
            ...(nextToken && { nextToken }),
          }),
          options,
        ),
      );
      return { items: parseList(call, 'attributes', answer.attributes), next: answer.nextToken };
    });
    const queue = attributes.flatMap(({ targetId: arn, value }) => {
      const since = Number(value);
      // A value that ecs-node did not write is not an entry of the queue.
      return arn !== undefined && value && Number.isSafeInteger(since) ? [{ arn, since }] : [];
    });
    return queue.toSorted((a, b) => a.since - b.since || (a.arn < b.arn ? -1 : 1));
  };
  return {
    readLeaveQueue: read,
    async queueToLeave(cluster, arn, reason, since, signal) {
      const own = (await read(cluster, reason, signal)).find((entry) => entry.arn === arn);
      if (own && own.since <= since) return;
      const attributes = [{ name: attribute(reason), value: String(since), targetType, targetId: arn } as const];
      await callAws('ecs:PutAttributes', arn, signal, (options) =>
        client.send(new PutAttributesCommand({ cluster, attributes }), options),
      );
    },
    async unqueue(cluster, arn, reason, signal) {
      const attributes = [{ name: attribute(reason), targetType, targetId: arn } as const];
      await callAws('ecs:DeleteAttributes', arn, signal, (options) =>
        client.send(new DeleteAttributesCommand({ cluster, attributes }), options),
      ).catch((error: unknown) => {
        // The container instance or the attribute no longer exists.
        if (!(error instanceof Refused && error.code === 'TargetNotFoundException')) throw error;
      });
    },
  };
}
