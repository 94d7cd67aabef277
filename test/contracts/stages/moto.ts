/**
 * moto, a third-party stand-in for AWS, as far as it implements the calls of a node. One server,
 * reset for each stage.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import {
  AutoScalingClient,
  CreateAutoScalingGroupCommand,
  AttachInstancesCommand,
  PutLifecycleHookCommand,
} from '@aws-sdk/client-auto-scaling';
import { CloudWatchClient, ListMetricsCommand } from '@aws-sdk/client-cloudwatch';
import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  FilterLogEventsCommand,
  type CloudWatchLogsClientConfig,
} from '@aws-sdk/client-cloudwatch-logs';
import {
  EventBridgeClient,
  PutRuleCommand,
  PutTargetsCommand,
  type EventBridgeClientConfig,
} from '@aws-sdk/client-eventbridge';
import {
  DescribeInstancesCommand,
  EC2Client,
  ModifyInstanceAttributeCommand,
  RunInstancesCommand,
  DescribeSubnetsCommand,
} from '@aws-sdk/client-ec2';
import {
  CreateCapacityProviderCommand,
  CreateClusterCommand,
  DeregisterTaskDefinitionCommand,
  ECSClient,
  PutClusterCapacityProvidersCommand,
  RegisterContainerInstanceCommand,
  RegisterTaskDefinitionCommand,
} from '@aws-sdk/client-ecs';
import {
  CreateLoadBalancerCommand,
  ElasticLoadBalancingClient,
  RegisterInstancesWithLoadBalancerCommand,
} from '@aws-sdk/client-elastic-load-balancing';
import {
  CreateTargetGroupCommand,
  ElasticLoadBalancingV2Client,
  RegisterTargetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { DeleteParameterCommand, PutParameterCommand, SSMClient, type SSMClientConfig } from '@aws-sdk/client-ssm';
import type { Identity } from '../../../core/identity.ts';
import { openLog } from '../../../core/log.ts';
import { openCloud } from '../../../host/aws/open.ts';
import { guardRecords } from '../../../host/aws/ecs/own-records.ts';
import { someIdentity } from '../../fakes/metadata.ts';
import type { CloudStage, OpenCloud } from '../cloud.ts';
import { startMotoServer, type MotoServer } from '../../moto-server.ts';

const keys = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret' };

/** Without this setting, each reset would make about a hundred images. */
const settings = { MOTO_EC2_LOAD_DEFAULT_AMIS: 'false' };

export type Moto = MotoServer;

export const startMoto = (): Promise<Moto> => startMotoServer(settings);

export async function motoCloud({ url }: Moto, { member }: Parameters<OpenCloud>[0]): Promise<CloudStage> {
  await fetch(`${url}/moto-api/reset`, { method: 'POST' });
  const settings = {
    region: someIdentity.region,
    endpoint: url,
    credentials: { accessKeyId: keys.AWS_ACCESS_KEY_ID, secretAccessKey: keys.AWS_SECRET_ACCESS_KEY },
  };
  const ec2 = new EC2Client(settings);
  const launched = await launch(ec2);
  const identity: Identity = { ...someIdentity, ...launched };
  const { instanceId } = identity;
  const cloud = guardRecords(
    openCloud(
      identity,
      { AWS_ENDPOINT_URL: url, ...keys },
      openLog(() => {}, Date.now),
    ),
  );
  return {
    cloud,
    pause: () => sleep(20),
    close: () => cloud.close(),
    instance: {
      async protect() {
        await ec2.send(
          new ModifyInstanceAttributeCommand({ InstanceId: instanceId, DisableApiTermination: { Value: true } }),
        );
      },
      async isEnding() {
        const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
        return /^(shutting-down|terminated)$/.test(Reservations[0]?.Instances?.[0]?.State?.Name ?? '');
      },
    },
    group: await stageGroup(new AutoScalingClient(settings), identity, member === true),
    cluster: await stageCluster(new ECSClient(settings), identity),
    balancers: stageBalancers(settings, ec2, identity),
    configuration: await stageConfiguration(settings),
    events: await stageEvents(settings),
    metrics: {
      async names(Namespace) {
        const { Metrics = [] } = await new CloudWatchClient(settings).send(new ListMetricsCommand({ Namespace }));
        return Metrics.map(({ MetricName = '' }) => MetricName);
      },
    },
  };
}

async function launch(ec2: EC2Client): Promise<Pick<Identity, 'instanceId' | 'imageId' | 'zone'>> {
  const { imageId } = someIdentity;
  const { Instances = [] } = await ec2.send(
    new RunInstancesCommand({ ImageId: imageId, InstanceType: 'm6i.large', MinCount: 1, MaxCount: 1 }),
  );
  const [instance] = Instances;
  return { instanceId: instance!.InstanceId!, imageId, zone: instance!.Placement!.AvailabilityZone! };
}

async function stageGroup(
  client: AutoScalingClient,
  { instanceId, zone }: Identity,
  isMember: boolean,
): Promise<NonNullable<CloudStage['group']>> {
  const name = 'web';
  const limits = { MinSize: 0, MaxSize: 4, DesiredCapacity: 0, AvailabilityZones: [zone], InstanceId: instanceId };
  await client.send(new CreateAutoScalingGroupCommand({ AutoScalingGroupName: name, ...limits }));
  if (isMember) {
    await client.send(new AttachInstancesCommand({ AutoScalingGroupName: name, InstanceIds: [instanceId] }));
  }
  return {
    name,
    async putHook(hook) {
      await client.send(
        new PutLifecycleHookCommand({
          AutoScalingGroupName: name,
          LifecycleHookName: hook.name,
          LifecycleTransition: `autoscaling:EC2_INSTANCE_${hook.transition === 'launch' ? 'LAUNCHING' : 'TERMINATING'}`,
          HeartbeatTimeout: hook.heartbeatSeconds,
          DefaultResult: hook.defaultResult,
        }),
      );
    },
    // moto neither waits for hooks nor keeps a history.
    hasHistory: false,
  };
}

async function stageCluster(client: ECSClient, identity: Identity): Promise<NonNullable<CloudStage['cluster']>> {
  const name = 'demo';
  await client.send(new CreateClusterCommand({ clusterName: name }));
  return {
    name,
    async register() {
      const { region, accountId, instanceId, instanceType, imageId, privateIp, zone } = identity;
      const document = { region, accountId, instanceId, instanceType, imageId, privateIp, availabilityZone: zone };
      const { containerInstance } = await client.send(
        new RegisterContainerInstanceCommand({ cluster: name, instanceIdentityDocument: JSON.stringify(document) }),
      );
      return containerInstance!.containerInstanceArn!;
    },
    async define(family, memory) {
      const containerDefinitions = [{ name: family, image: `${family}:1`, memory }];
      const { taskDefinition } = await client.send(new RegisterTaskDefinitionCommand({ family, containerDefinitions }));
      return taskDefinition!.taskDefinitionArn!;
    },
    async retire(taskDefinition) {
      await client.send(new DeregisterTaskDefinitionCommand({ taskDefinition }));
    },
    async provide(provider, group) {
      const autoScalingGroupArn = `arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/${group}`;
      await client.send(
        new CreateCapacityProviderCommand({ name: provider, autoScalingGroupProvider: { autoScalingGroupArn } }),
      );
      await client.send(
        new PutClusterCapacityProvidersCommand({
          cluster: name,
          capacityProviders: [provider, 'FARGATE'],
          defaultCapacityProviderStrategy: [],
        }),
      );
    },
    // moto's tasks never run, and it does not filter container instances.
    counts: false,
  };
}

function stageBalancers(
  settings: ConstructorParameters<typeof EC2Client>[0],
  ec2: EC2Client,
  { instanceId, zone }: Identity,
): NonNullable<CloudStage['balancers']> {
  return {
    async targetGroup() {
      const client = new ElasticLoadBalancingV2Client(settings ?? {});
      const { Subnets = [] } = await ec2.send(new DescribeSubnetsCommand({}));
      const { TargetGroups = [] } = await client.send(
        new CreateTargetGroupCommand({ Name: 'web', Protocol: 'HTTP', Port: 8080, VpcId: Subnets[0]!.VpcId! }),
      );
      const { TargetGroupArn } = TargetGroups[0]!;
      await client.send(new RegisterTargetsCommand({ TargetGroupArn, Targets: [{ Id: instanceId }] }));
      return TargetGroupArn!;
    },
    async loadBalancer() {
      const client = new ElasticLoadBalancingClient(settings ?? {});
      const Listeners = [{ Protocol: 'HTTP', LoadBalancerPort: 80, InstancePort: 80 }];
      await client.send(
        new CreateLoadBalancerCommand({ LoadBalancerName: 'classic', Listeners, AvailabilityZones: [zone] }),
      );
      await client.send(
        new RegisterInstancesWithLoadBalancerCommand({
          LoadBalancerName: 'classic',
          Instances: [{ InstanceId: instanceId }],
        }),
      );
      return 'classic';
    },
    drains: false,
  };
}

/** A rule that puts the events of the cluster into a log group, as the stack's does. */
export async function stageEvents(
  settings: EventBridgeClientConfig & CloudWatchLogsClientConfig,
): Promise<NonNullable<CloudStage['events']>> {
  const logGroupName = '/ecs-node/demo/events';
  const logs = new CloudWatchLogsClient(settings);
  await logs.send(new CreateLogGroupCommand({ logGroupName }));
  const bridge = new EventBridgeClient(settings);
  const EventPattern = JSON.stringify({ source: ['ecs-node'], detail: { cluster: ['demo'] } });
  await bridge.send(new PutRuleCommand({ Name: 'to-log', EventPattern, State: 'ENABLED' }));
  const Arn = `arn:aws:logs:${someIdentity.region}:123456789012:log-group:${logGroupName}`;
  await bridge.send(new PutTargetsCommand({ Rule: 'to-log', Targets: [{ Id: 'log', Arn }] }));
  return {
    async received() {
      const { events = [] } = await logs.send(new FilterLogEventsCommand({ logGroupName }));
      return events.map(({ message = '' }) => {
        const event = JSON.parse(message) as { source: string; 'detail-type': string; detail: unknown };
        return { source: event.source, type: event['detail-type'], detail: event.detail };
      });
    },
  };
}

async function stageConfiguration(
  settings: S3ClientConfig & SSMClientConfig,
): Promise<NonNullable<CloudStage['configuration']>> {
  const ssm = new SSMClient(settings);
  const s3 = new S3Client({ ...settings, forcePathStyle: true });
  const Bucket = 'ours';
  await s3.send(new CreateBucketCommand({ Bucket }));
  return {
    ssm: 'ssm:/ecs/web',
    s3: `s3://${Bucket}/ecs/web`,
    async putParameter(name, Value, secret = false) {
      const Type = secret ? 'SecureString' : 'String';
      await ssm.send(new PutParameterCommand({ Name: `/ecs/web/${name}`, Value, Type, Overwrite: true }));
    },
    deleteParameter: async (name) => void (await ssm.send(new DeleteParameterCommand({ Name: `/ecs/web/${name}` }))),
    putObject: async (key, Body) => void (await s3.send(new PutObjectCommand({ Bucket, Key: `ecs/web/${key}`, Body }))),
    deleteObject: async (key) => void (await s3.send(new DeleteObjectCommand({ Bucket, Key: `ecs/web/${key}` }))),
  };
}
