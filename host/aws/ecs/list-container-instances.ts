import { ListContainerInstancesCommand, type ContainerInstanceStatus, type ECSClient } from '@aws-sdk/client-ecs';
import type { AwsCall } from '../fault.ts';
import { everyPage } from '../pages.ts';
import { parseArns } from './ecs-answers.ts';

export interface Which {
  status?: Extract<ContainerInstanceStatus, 'ACTIVE' | 'DRAINING'>;
  /** A term of ECS's cluster query language. */
  filter?: string;
}

/** The ARNs of a cluster's container instances, a hundred a call. */
export function listContainerInstances(
  client: ECSClient,
  callAws: AwsCall,
  cluster: string,
  which: Which,
  signal: AbortSignal,
): Promise<string[]> {
  const call = 'ecs:ListContainerInstances';
  return everyPage(async (nextToken) => {
    const answer = await callAws(call, cluster, signal, (options) =>
      client.send(new ListContainerInstancesCommand({ cluster, ...which, ...(nextToken && { nextToken }) }), options),
    );
    return { items: parseArns(call, 'containerInstanceArns', answer.containerInstanceArns), next: answer.nextToken };
  });
}
