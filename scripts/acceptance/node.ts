/** One launched node, as ECS, EC2 and Auto Scaling show it, and commands on it. */

import { DescribeAutoScalingInstancesCommand } from '@aws-sdk/client-auto-scaling';
import { DescribeInstancesCommand } from '@aws-sdk/client-ec2';
import {
  DescribeContainerInstancesCommand,
  DescribeTasksCommand,
  ListContainerInstancesCommand,
  type ContainerInstance,
} from '@aws-sdk/client-ecs';
import { GetCommandInvocationCommand, SendCommandCommand } from '@aws-sdk/client-ssm';
import { poll, type Clients, type Waiting } from './clients.ts';

export interface Sight {
  /** `InService`, `Terminating:Wait` …; undefined once it has left its group. */
  lifecycle: string | undefined;
  containerInstance: ContainerInstance | undefined;
}

export async function see({ autoScaling, ecs }: Clients, cluster: string, id: string): Promise<Sight> {
  const { AutoScalingInstances = [] } = await autoScaling.send(
    new DescribeAutoScalingInstancesCommand({ InstanceIds: [id] }),
  );
  const { containerInstanceArns = [] } = await ecs.send(
    new ListContainerInstancesCommand({ cluster, filter: `ec2InstanceId == ${id}` }),
  );
  const { containerInstances = [] } =
    containerInstanceArns.length === 0
      ? {}
      : await ecs.send(new DescribeContainerInstancesCommand({ cluster, containerInstances: containerInstanceArns }));
  const connected = containerInstances.find(({ agentConnected }) => agentConnected) ?? containerInstances[0];
  return { lifecycle: AutoScalingInstances[0]?.LifecycleState, containerInstance: connected };
}

export async function readInstance({ ec2 }: Clients, id: string) {
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  const instance = Reservations[0]?.Instances?.[0];
  const tags = Object.fromEntries((instance?.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
  return { state: instance?.State?.Name, isSpot: instance?.InstanceLifecycle === 'spot', tags };
}

export async function readTask({ ecs }: Clients, cluster: string, task: string): Promise<string | undefined> {
  const { tasks = [] } = await ecs.send(new DescribeTasksCommand({ cluster, tasks: [task] }));
  return tasks[0]?.lastStatus;
}

export interface Output {
  code: number;
  text: string;
}

/** Runs a shell script on the node by Run Command, as root. Undefined: no answer in time. */
export async function runOn(
  { ssm }: Clients,
  id: string,
  script: string,
  waiting: Waiting,
): Promise<Output | undefined> {
  const { Command } = await ssm.send(
    new SendCommandCommand({
      InstanceIds: [id],
      DocumentName: 'AWS-RunShellScript',
      Comment: 'ecs-node acceptance',
      Parameters: { commands: script.split('\n') },
    }),
  );
  const CommandId = Command?.CommandId ?? '';
  return poll(waiting, async () => {
    const found = await ssm
      .send(new GetCommandInvocationCommand({ CommandId, InstanceId: id }))
      // Right after the command, Systems Manager does not know it yet.
      .catch((error: unknown) => {
        if (error instanceof Error && error.name === 'InvocationDoesNotExist') return undefined;
        throw error;
      });
    const {
      Status = 'Pending',
      ResponseCode = -1,
      StandardOutputContent = '',
      StandardErrorContent = '',
    } = found ?? {};
    if (['Pending', 'InProgress', 'Delayed'].includes(Status)) return undefined;
    return { code: ResponseCode, text: `${StandardOutputContent}${StandardErrorContent}`.trim() };
  });
}
