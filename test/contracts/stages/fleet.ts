/** Three nodes of a fleet: in memory, in the simulator, and in moto. */

import { setTimeout as sleep } from 'node:timers/promises';
import { AutoScalingClient, CreateAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import {
  CreateLaunchTemplateCommand,
  CreateTagsCommand,
  EC2Client,
  ModifyInstanceAttributeCommand,
} from '@aws-sdk/client-ec2';
import { CreateClusterCommand, ECSClient, RegisterContainerInstanceCommand } from '@aws-sdk/client-ecs';
import { openLog } from '../../../core/log.ts';
import { openFleetNodes } from '../../../host/aws/fleet/open.ts';
import { openFleetSession } from '../../../host/aws/session/fleet-session.ts';
import { openClock } from '../../../host/clock.ts';
import { startSimulator } from '../../../simulator/simulator.ts';
import { addNode, cluster as fakeCluster, fakeFleet, group as fakeGroup } from '../../fakes/fleet-nodes.ts';
import { someIdentity } from '../../fakes/metadata.ts';
import type { FleetStage } from '../fleet/fleet-nodes.ts';
import type { Moto } from './moto.ts';

const region = 'us-east-1';
const keys = { AWS_ACCESS_KEY_ID: 'AKIDSIMULATOR', AWS_SECRET_ACCESS_KEY: 'simulator-secret-key' };
const log = openLog(() => {}, Date.now);

export async function fakeStage(): Promise<FleetStage> {
  const fleet = fakeFleet();
  const ids = ['i-a', 'i-b', 'i-c'];
  for (const id of ids) {
    addNode(fleet, id, Date.now(), {
      instance: { runningTasks: 0, registeredAt: Date.now() },
      machine: { launchedAt: Date.now(), tags: { 'aws:autoscaling:groupName': fakeGroup } },
    });
  }
  return {
    fleet,
    cluster: fakeCluster,
    group: fakeGroup,
    ids,
    protect: async (id) => void fleet.protectedIds.add(id),
    registerElsewhere: async (id) => (fleet.elsewhere.set(id, 'other'), 'other'),
    tag: async (id, key, value) => void (fleet.machines.get(id)!.tags[key] = value),
    report: async (instanceId, usedPercent) => void fleet.reports.push({ instanceId, usedPercent, at: Date.now() }),
    pause: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

export async function simulatedStage(): Promise<FleetStage> {
  const simulator = await startSimulator({ clusters: ['demo', 'other'], groups: [{ name: 'nodes', max: 9 }] });
  const { verbs, world } = simulator;
  const ids = (await verbs.scaleTo('nodes', 3)).map(({ id }) => id);
  for (const id of ids) verbs.startEcsAgent(id, 'demo');
  const { byInstance } = world.clusters.get('demo')!;
  const { members } = world.groups.get('nodes')!;
  const isReady = (id: string) => byInstance.get(id)?.agentConnected && members.get(id)?.state === 'InService';
  while (!ids.every(isReady)) await sleep(20);
  const aws = openAws(simulator.endpoint);
  return {
    ...aws,
    cluster: 'demo',
    group: 'nodes',
    ids,
    protect: async (id) => verbs.protect(id),
    async registerElsewhere(id) {
      const own = byInstance.get(id)!;
      const other = world.clusters.get('other')!;
      const record = { ...own, arn: own.arn.replace('/demo/', '/other/') };
      other.containerInstances.set(own.arn.split('/').at(-1)!, record);
      other.byInstance.set(id, record);
      return 'other';
    },
    async close() {
      await aws.close();
      await simulator.close();
    },
  };
}

export async function motoStage({ url }: Moto): Promise<FleetStage> {
  await fetch(`${url}/moto-api/reset`, { method: 'POST' });
  const settings = settingsFor(url);
  const ec2 = new EC2Client(settings);
  const LaunchTemplateData = { ImageId: someIdentity.imageId, InstanceType: 'm6i.large' } as const;
  await ec2.send(new CreateLaunchTemplateCommand({ LaunchTemplateName: 'node', LaunchTemplateData }));
  const group = { AutoScalingGroupName: 'nodes', MinSize: 0, MaxSize: 9, DesiredCapacity: 3 };
  const LaunchTemplate = { LaunchTemplateName: 'node', Version: '$Latest' };
  const AvailabilityZones = [`${region}a`];
  await new AutoScalingClient(settings).send(
    new CreateAutoScalingGroupCommand({ ...group, LaunchTemplate, AvailabilityZones }),
  );
  const aws = openAws(url);
  const { signal } = new AbortController();
  const ids = (await aws.fleet.readGroups(['nodes'], signal))
    .flatMap(({ members }) => members)
    .map(({ instanceId }) => instanceId);
  const ecs = new ECSClient(settings);
  const register = async (cluster: string, instanceId: string) => {
    const { accountId, instanceType, imageId, privateIp } = someIdentity;
    const document = {
      region,
      accountId,
      instanceId,
      instanceType,
      imageId,
      privateIp,
      availabilityZone: `${region}a`,
    };
    const instanceIdentityDocument = JSON.stringify(document);
    await ecs.send(new RegisterContainerInstanceCommand({ cluster, instanceIdentityDocument }));
  };
  for (const clusterName of ['demo', 'other']) await ecs.send(new CreateClusterCommand({ clusterName }));
  for (const id of ids) await register('demo', id);
  return {
    ...aws,
    cluster: 'demo',
    group: 'nodes',
    ids,
    async protect(InstanceId) {
      await ec2.send(new ModifyInstanceAttributeCommand({ InstanceId, DisableApiTermination: { Value: true } }));
    },
    async registerElsewhere(id) {
      await register('other', id);
      return 'other';
    },
  };
}

const settingsFor = (endpoint: string) => ({
  endpoint,
  region,
  credentials: { accessKeyId: keys.AWS_ACCESS_KEY_ID, secretAccessKey: keys.AWS_SECRET_ACCESS_KEY },
});

function openAws(url: string): Pick<FleetStage, 'fleet' | 'tag' | 'report' | 'pause' | 'close'> {
  const session = openFleetSession(region, { AWS_ENDPOINT_URL: url, ...keys }, log);
  const fleet = openFleetNodes(session, { region }, openClock(), log);
  const cloudWatch = new CloudWatchClient(settingsFor(url));
  const ec2 = new EC2Client(settingsFor(url));
  return {
    fleet,
    async tag(id, Key, Value) {
      await ec2.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key, Value }] }));
    },
    async report(id, Value) {
      const Dimensions = Object.entries({ InstanceId: id, Filesystem: '/dev/xvda1', MountPath: '/' });
      const MetricData = [
        {
          MetricName: 'DiskSpaceUtilization',
          Value,
          Timestamp: new Date(),
          Dimensions: Dimensions.map(([Name, each]) => ({ Name, Value: each })),
        },
      ];
      await cloudWatch.send(new PutMetricDataCommand({ Namespace: 'System/Linux', MetricData }));
    },
    pause: () => sleep(20),
    async close() {
      fleet.close();
      cloudWatch.destroy();
      ec2.destroy();
    },
  };
}
