/** ECS's permissions, tried on container instances and tasks that do not exist. */

import {
  DeleteAttributesCommand,
  DeregisterContainerInstanceCommand,
  DescribeCapacityProvidersCommand,
  DescribeClustersCommand,
  DescribeContainerInstancesCommand,
  DescribeServicesCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  GetTaskProtectionCommand,
  ListAttributesCommand,
  ListContainerInstancesCommand,
  ListServicesCommand,
  ListTasksCommand,
  PutAttributesCommand,
  StartTaskCommand,
  StopTaskCommand,
  UpdateContainerInstancesStateCommand,
} from '@aws-sdk/client-ecs';
import type { Session } from '../session/session.ts';
import { absent, type OpenProbes, type Probes } from './subject.ts';

export const openEcsProbes: OpenProbes = (session, { cluster, definitions }) => {
  const { partition, region, accountId } = session.identity;
  const client = new ECSClient(session.settings('ECS'));
  const arn = (kind: string) => `arn:${partition}:ecs:${region}:${accountId}:${kind}/${cluster}/${absent.hex}`;
  return {
    ...nodeProbes(client, session, cluster, arn),
    ...clusterProbes(client, session, cluster, arn),
    ...definitionProbes(client, session, cluster, definitions, arn('container-instance')),
  };
};

/** Calls on container instances and tasks. */
function nodeProbes(client: ECSClient, { callAws }: Session, cluster: string, arn: (kind: string) => string): Probes {
  const containerInstance = arn('container-instance');
  const task = arn('task');
  return {
    'ecs:ListContainerInstances': (signal) =>
      callAws('ecs:ListContainerInstances', cluster, signal, (options) =>
        client.send(new ListContainerInstancesCommand({ cluster, maxResults: 1 }), options),
      ),
    'ecs:DescribeContainerInstances': (signal) =>
      callAws('ecs:DescribeContainerInstances', cluster, signal, (options) =>
        client.send(
          new DescribeContainerInstancesCommand({ cluster, containerInstances: [containerInstance] }),
          options,
        ),
      ),
    'ecs:UpdateContainerInstancesState': (signal) =>
      callAws('ecs:UpdateContainerInstancesState', cluster, signal, (options) =>
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
      callAws('ecs:ListTasks', cluster, signal, (options) =>
        client.send(new ListTasksCommand({ cluster, containerInstance, maxResults: 1 }), options),
      ),
    'ecs:DescribeTasks': (signal) =>
      callAws('ecs:DescribeTasks', cluster, signal, (options) =>
        client.send(new DescribeTasksCommand({ cluster, tasks: [task] }), options),
      ),
    'ecs:GetTaskProtection': (signal) =>
      callAws('ecs:GetTaskProtection', cluster, signal, (options) =>
        client.send(new GetTaskProtectionCommand({ cluster, tasks: [task] }), options),
      ),
    'ecs:StopTask': (signal) =>
      callAws('ecs:StopTask', cluster, signal, (options) =>
        client.send(new StopTaskCommand({ cluster, task }), options),
      ),
  };
}

/** Calls on the cluster, its services and attributes. */
function clusterProbes(
  client: ECSClient,
  { callAws }: Session,
  cluster: string,
  arn: (kind: string) => string,
): Probes {
  const containerInstance = arn('container-instance');
  const attributes = [
    { name: 'ecs-node.doctor', targetType: 'container-instance' as const, targetId: containerInstance },
  ];
  return {
    'ecs:DescribeClusters': (signal) =>
      callAws('ecs:DescribeClusters', cluster, signal, (options) =>
        client.send(new DescribeClustersCommand({ clusters: [cluster] }), options),
      ),
    'ecs:DescribeCapacityProviders': (signal) =>
      callAws('ecs:DescribeCapacityProviders', '*', signal, (options) =>
        client.send(new DescribeCapacityProvidersCommand({ capacityProviders: ['ecs-node-doctor'] }), options),
      ),
    'ecs:DeregisterContainerInstance': (signal) =>
      callAws('ecs:DeregisterContainerInstance', cluster, signal, (options) =>
        client.send(new DeregisterContainerInstanceCommand({ cluster, containerInstance }), options),
      ),
    'ecs:ListAttributes': (signal) =>
      callAws('ecs:ListAttributes', cluster, signal, (options) =>
        client.send(new ListAttributesCommand({ cluster, targetType: 'container-instance', maxResults: 1 }), options),
      ),
    'ecs:PutAttributes': (signal) =>
      callAws('ecs:PutAttributes', cluster, signal, (options) =>
        client.send(new PutAttributesCommand({ cluster, attributes }), options),
      ),
    'ecs:DeleteAttributes': (signal) =>
      callAws('ecs:DeleteAttributes', cluster, signal, (options) =>
        client.send(new DeleteAttributesCommand({ cluster, attributes }), options),
      ),
    'ecs:ListServices': (signal) =>
      callAws('ecs:ListServices', cluster, signal, (options) =>
        client.send(new ListServicesCommand({ cluster, maxResults: 1 }), options),
      ),
    'ecs:DescribeServices': (signal) =>
      callAws('ecs:DescribeServices', cluster, signal, (options) =>
        client.send(new DescribeServicesCommand({ cluster, services: [arn('service')] }), options),
      ),
  };
}

/** Calls on the task definitions that the node would start. */
function definitionProbes(
  client: ECSClient,
  { callAws }: Session,
  cluster: string,
  [taskDefinition = absent.hex]: readonly string[],
  containerInstance: string,
): Probes {
  return {
    'ecs:DescribeTaskDefinition': (signal) =>
      callAws('ecs:DescribeTaskDefinition', taskDefinition, signal, (options) =>
        client.send(new DescribeTaskDefinitionCommand({ taskDefinition }), options),
      ),
    // ECS starts nothing on a container instance that it does not know, and says so in the answer.
    'ecs:StartTask': (signal) =>
      callAws('ecs:StartTask', taskDefinition, signal, (options) =>
        client.send(
          new StartTaskCommand({ cluster, containerInstances: [containerInstance], taskDefinition }),
          options,
        ),
      ),
  };
}
