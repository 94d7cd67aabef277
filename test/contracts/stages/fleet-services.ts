/** A cluster with a service: in memory, in the simulator, and in moto. */

import { ApplicationAutoScalingClient, RegisterScalableTargetCommand } from '@aws-sdk/client-application-auto-scaling';
import { EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import {
  CreateClusterCommand,
  CreateServiceCommand,
  ECSClient,
  RegisterContainerInstanceCommand,
  RegisterTaskDefinitionCommand,
} from '@aws-sdk/client-ecs';
import { openLog } from '../../../core/log.ts';
import { openFleetServices } from '../../../host/aws/fleet/fleet-services.ts';
import { openFleetSession } from '../../../host/aws/session/fleet-session.ts';
import { startSimulator } from '../../../simulator/simulator.ts';
import { waitFor } from '../../../simulator/wait-for.ts';
import { fakeServices } from '../../fakes/fleet-services.ts';
import type { FleetServicesStage } from '../fleet/fleet-services.ts';
import type { Moto } from './moto.ts';

const region = 'us-east-1';

const openServices = (environment: Record<string, string>) =>
  openFleetServices(
    openFleetSession(
      region,
      environment,
      openLog(() => {}, Date.now),
    ),
  );

export async function fakeFleetServices(instances: number, desired: number): Promise<FleetServicesStage> {
  const services = fakeServices(instances, desired, 'demo');
  return {
    services,
    async registerScalableTarget(min, max) {
      services.target = { min, max };
    },
    async close() {},
  };
}

export async function simulatedFleetServices(instances: number, desired: number): Promise<FleetServicesStage> {
  const simulator = await startSimulator();
  const { verbs, world } = simulator;
  for (const { id } of await verbs.scaleTo('ecs-nodes', instances)) verbs.startEcsAgent(id, 'demo');
  const { containerInstances } = world.clusters.get('demo')!;
  await waitFor('registered', () => containerInstances.size === instances);
  verbs.createService('demo', { name: 'web', desired });
  const services = openServices(simulator.operatorEnvironment());
  return {
    services,
    registerScalableTarget: async (min, max) => verbs.registerScalableTarget('demo', 'web', min, max),
    async close() {
      services.close();
      await simulator.close();
    },
  };
}

export async function motoFleetServices(
  { url }: Moto,
  instances: number,
  desired: number,
): Promise<FleetServicesStage> {
  await fetch(`${url}/moto-api/reset`, { method: 'POST' });
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' };
  const settings = { region, endpoint: url, credentials };
  const ecs = new ECSClient(settings);
  const scaling = new ApplicationAutoScalingClient(settings);
  await ecs.send(new CreateClusterCommand({ clusterName: 'demo' }));
  await register(ecs, new EC2Client(settings), instances);
  const containerDefinitions = [{ name: 'web', image: 'web:1', memory: 64 }];
  await ecs.send(new RegisterTaskDefinitionCommand({ family: 'web', containerDefinitions }));
  await ecs.send(
    new CreateServiceCommand({ cluster: 'demo', serviceName: 'web', taskDefinition: 'web', desiredCount: desired }),
  );
  const services = openServices({
    AWS_ENDPOINT_URL: url,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  });
  return {
    services,
    async registerScalableTarget(MinCapacity, MaxCapacity) {
      await scaling.send(
        new RegisterScalableTargetCommand({
          ServiceNamespace: 'ecs',
          ScalableDimension: 'ecs:service:DesiredCount',
          ResourceId: 'service/demo/web',
          MinCapacity,
          MaxCapacity,
        }),
      );
    },
    close: async () => services.close(),
  };
}

async function register(ecs: ECSClient, ec2: EC2Client, count: number): Promise<void> {
  const wanted = { ImageId: 'ami-0abcdef1234567890', InstanceType: 'm6i.large' as const };
  const { Instances = [] } = await ec2.send(new RunInstancesCommand({ ...wanted, MinCount: count, MaxCount: count }));
  for (const { InstanceId: instanceId, PrivateIpAddress: privateIp } of Instances) {
    const document = { region, accountId: '123456789012', instanceId, privateIp, instanceType: 'm6i.large' };
    const instanceIdentityDocument = JSON.stringify(document);
    await ecs.send(new RegisterContainerInstanceCommand({ cluster: 'demo', instanceIdentityDocument }));
  }
}
