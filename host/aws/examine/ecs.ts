/** ECS's permissions, tried on container instances and tasks that do not exist. */

import {
  DeleteAttributesCommand,
  DescribeClustersCommand,
  DescribeContainerInstancesCommand,
  DescribeServicesCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  ListAttributesCommand,
  ListContainerInstancesCommand,
  ListServicesCommand,
  ListTasksCommand,
  PutAttributesCommand,
  StartTaskCommand,
  StopTaskCommand,
  UpdateContainerInstancesStateCommand,
} from '@aws-sdk/client-ecs';
import type { Session } from '../session.ts';
import { nobody, type OpenProbes, type Probes } from './subject.ts';

export const openEcsProbes: OpenProbes = (session, { cluster, definitions }) => {
  const { partition, region, accountId } = session.identity;
  const client = new ECSClient(session.settings('ECS'));
  const arn = (kind: string) => `arn:${partition}:ecs:${region}:${accountId}:${kind}/${cluster}/${nobody.hex}`;
  return {
    ...nodeProbes(client, session, cluster, arn),
    ...clusterProbes(client, session, cluster, arn),
    ...definitionProbes(client, session, cluster, definitions, arn('container-instance')),
  };
};

/** On container instances and tasks. */
function nodeProbes(client: ECSClient, { ask }: Session, cluster: string, arn: (kind: string) => string): Probes {
  const containerInstance = arn('container-instance');
  const task = arn('task');
  return {
    'ecs:ListContainerInstances': (signal) =>
      ask('ecs:ListContainerInstances', cluster, signal, (options) =>
        client.send(new ListContainerInstancesCommand({ cluster, maxResults: 1 }), options),
      ),
    'ecs:DescribeContainerInstances': (signal) =>
      ask('ecs:DescribeContainerInstances', cluster, signal, (options) =>
        client.send(
          new DescribeContainerInstancesCommand({ cluster, containerInstances: [containerInstance] }),
          options,
        ),
      ),
    'ecs:UpdateContainerInstancesState': (signal) =>
      ask('ecs:UpdateContainerInstancesState', cluster, signal, (options) =>
        client.send(
          new UpdateContainerInstancesStateCommand({
            cluster,
            containerInstances: [containerInstance],
            status: 'ACTIVE',
          }),
          options,
        ),
      ),
    'ecs:ListTasks': (signal) =>
      ask('ecs:ListTasks', cluster, signal, (options) =>
        client.send(new ListTasksCommand({ cluster, containerInstance, maxResults: 1 }), options),
      ),
    'ecs:DescribeTasks': (signal) =>
      ask('ecs:DescribeTasks', cluster, signal, (options) =>
        client.send(new DescribeTasksCommand({ cluster, tasks: [task] }), options),
      ),
    'ecs:StopTask': (signal) =>
      ask('ecs:StopTask', cluster, signal, (options) => client.send(new StopTaskCommand({ cluster, task }), options)),
  };
}

/** On the cluster, its services and attributes. */
function clusterProbes(client: ECSClient, { ask }: Session, cluster: string, arn: (kind: string) => string): Probes {
  const containerInstance = arn('container-instance');
  const attributes = [
    { name: 'ecs-node.doctor', targetType: 'container-instance' as const, targetId: containerInstance },
  ];
  return {
    'ecs:DescribeClusters': (signal) =>
      ask('ecs:DescribeClusters', cluster, signal, (options) =>
        client.send(new DescribeClustersCommand({ clusters: [cluster] }), options),
      ),
    'ecs:ListAttributes': (signal) =>
      ask('ecs:ListAttributes', cluster, signal, (options) =>
        client.send(new ListAttributesCommand({ cluster, targetType: 'container-instance', maxResults: 1 }), options),
      ),
    'ecs:PutAttributes': (signal) =>
      ask('ecs:PutAttributes', cluster, signal, (options) =>
        client.send(new PutAttributesCommand({ cluster, attributes }), options),
      ),
    'ecs:DeleteAttributes': (signal) =>
      ask('ecs:DeleteAttributes', cluster, signal, (options) =>
        client.send(new DeleteAttributesCommand({ cluster, attributes }), options),
      ),
    'ecs:ListServices': (signal) =>
      ask('ecs:ListServices', cluster, signal, (options) =>
        client.send(new ListServicesCommand({ cluster, maxResults: 1 }), options),
      ),
    'ecs:DescribeServices': (signal) =>
      ask('ecs:DescribeServices', cluster, signal, (options) =>
        client.send(new DescribeServicesCommand({ cluster, services: [arn('service')] }), options),
      ),
  };
}

/** On the task definitions that the node would start. */
function definitionProbes(
  client: ECSClient,
  { ask }: Session,
  cluster: string,
  [taskDefinition = nobody.hex]: readonly string[],
  containerInstance: string,
): Probes {
  return {
    'ecs:DescribeTaskDefinition': (signal) =>
      ask('ecs:DescribeTaskDefinition', taskDefinition, signal, (options) =>
        client.send(new DescribeTaskDefinitionCommand({ taskDefinition }), options),
      ),
    // ECS starts nothing on a container instance that it does not have, and says so in the answer.
    'ecs:StartTask': (signal) =>
      ask('ecs:StartTask', taskDefinition, signal, (options) =>
        client.send(
          new StartTaskCommand({ cluster, containerInstances: [containerInstance], taskDefinition }),
          options,
        ),
      ),
  };
}
