import {
  ApplicationAutoScalingClient,
  DeregisterScalableTargetCommand,
  DescribeScalableTargetsCommand,
  RegisterScalableTargetCommand,
} from '@aws-sdk/client-application-auto-scaling';
import { DescribeServicesCommand, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { operatorCredentials, type Simulator } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';
import { clients, codeOf, open } from './stage.ts';

const cluster = 'demo';
const dimension = { ServiceNamespace: 'ecs', ScalableDimension: 'ecs:service:DesiredCount' } as const;

function openScaling({ endpoint, region }: Simulator) {
  const client = new ApplicationAutoScalingClient({
    endpoint,
    region,
    credentials: operatorCredentials,
    maxAttempts: 1,
  });
  onTestFinished(() => client.destroy());
  const describeTargets = (input: object) =>
    client.send(new DescribeScalableTargetsCommand({ ServiceNamespace: 'ecs', ...input }));
  return { client, describeTargets };
}

describe('deployments of a service', () => {
  it('are one that is complete, two while another one begins, and one again', async () => {
    const simulator = await open({ settings: { ecs: { deploymentMs: 5 } } });
    simulator.verbs.createService(cluster, { name: 'web', desired: 1 });
    const { ecs } = clients(simulator);
    const read = async () => {
      const { services } = await ecs.send(new DescribeServicesCommand({ cluster, services: ['web'] }));
      return services![0]!.deployments!.map(({ status, rolloutState }) => `${status} ${rolloutState}`);
    };
    expect(await read()).toEqual(['PRIMARY COMPLETED']);
    await ecs.send(new UpdateServiceCommand({ cluster, service: 'web', desiredCount: 2 }));
    expect(await read()).toEqual(['PRIMARY COMPLETED']);
    simulator.verbs.beginDeployment(cluster, 'web');
    expect(await read()).toEqual(['PRIMARY IN_PROGRESS', 'ACTIVE COMPLETED']);
    simulator.verbs.endDeployment(cluster, 'web', 'FAILED');
    expect(await read()).toEqual(['PRIMARY FAILED', 'ACTIVE COMPLETED']);
    await ecs.send(new UpdateServiceCommand({ cluster, service: 'web', forceNewDeployment: true }));
    await waitFor('complete', async () => (await read()).join() === 'PRIMARY COMPLETED', 30_000);
  });

  it('are unknown for a service that CodeDeploy deploys, and cannot be forced', async () => {
    const simulator = await open();
    simulator.verbs.createService(cluster, { name: 'web', controller: 'CODE_DEPLOY' });
    const { ecs } = clients(simulator);
    const { services } = await ecs.send(new DescribeServicesCommand({ cluster, services: ['web'] }));
    expect(services).toMatchObject([{ deploymentController: { type: 'CODE_DEPLOY' }, deployments: [] }]);
    const force = new UpdateServiceCommand({ cluster, service: 'web', forceNewDeployment: true });
    expect(await codeOf(ecs.send(force))).toBe('InvalidParameterException');
  });
});

describe('scalable targets', () => {
  it('are registered with both limits, changed one by one, and forgotten', async () => {
    const simulator = await open();
    simulator.verbs.createService(cluster, { name: 'web', desired: 1 });
    const { client, describeTargets } = openScaling(simulator);
    const named = { ...dimension, ResourceId: 'service/demo/web' };
    const register = (more: object) => client.send(new RegisterScalableTargetCommand({ ...named, ...more }));
    expect(await codeOf(register({ MinCapacity: 1 }))).toBe('ValidationException');
    expect(await codeOf(register({ MinCapacity: 5, MaxCapacity: 2 }))).toBe('ValidationException');
    expect(await codeOf(register({ ResourceId: 'service/demo/none', MinCapacity: 1, MaxCapacity: 2 }))).toBe(
      'ValidationException',
    );
    await register({ MinCapacity: 1, MaxCapacity: 4 });
    await register({ MaxCapacity: 8 });
    const { ScalableTargets } = await describeTargets({});
    expect(ScalableTargets).toMatchObject([{ ...named, MinCapacity: 1, MaxCapacity: 8 }]);
    expect(ScalableTargets![0]!.CreationTime).toBeInstanceOf(Date);
    await client.send(new DeregisterScalableTargetCommand(named));
    expect(await codeOf(client.send(new DeregisterScalableTargetCommand(named)))).toBe('ObjectNotFoundException');
  });

  it('are found by resource, in pages that neither repeat nor lose one', async () => {
    const simulator = await open();
    for (let index = 0; index < 7; index++) {
      simulator.verbs.createService(cluster, { name: `web-${index}`, desired: 0 });
      simulator.verbs.registerScalableTarget(cluster, `web-${index}`, 1, 2);
    }
    const { describeTargets } = openScaling(simulator);
    const found: string[] = [];
    let NextToken: string | undefined;
    do {
      const answer = await describeTargets({ MaxResults: 3, ...(NextToken && { NextToken }) });
      found.push(...answer.ScalableTargets!.map(({ ResourceId }) => ResourceId!));
      NextToken = answer.NextToken;
    } while (NextToken);
    expect(found).toEqual(Array.from({ length: 7 }, (_, index) => `service/demo/web-${index}`));
    const one = await describeTargets({ ...dimension, ResourceIds: ['service/demo/web-3', 'service/demo/none'] });
    expect(one.ScalableTargets!.map(({ ResourceId }) => ResourceId)).toEqual(['service/demo/web-3']);
  });

  it('refuse what Application Auto Scaling refuses', async () => {
    const { describeTargets } = openScaling(await open());
    for (const [input, code] of [
      [{ ServiceNamespace: 'ecss' }, 'ValidationException'],
      [{ ServiceNamespace: undefined }, 'ValidationException'],
      [{ ScalableDimension: 'ecs:service:DesiredCount' }, 'ValidationException'],
      [{ ScalableDimension: 'ecs:service:Count', ResourceIds: ['service/demo/web'] }, 'ValidationException'],
      [{ MaxResults: 51 }, 'ValidationException'],
      [{ ResourceIds: Array.from({ length: 51 }, () => 'service/demo/web') }, 'ValidationException'],
      [{ NextToken: 'stale' }, 'InvalidNextTokenException'],
    ] as const) {
      expect(await codeOf(describeTargets(input)), JSON.stringify(input)).toBe(code);
    }
    expect((await describeTargets({ ServiceNamespace: 'dynamodb' })).ScalableTargets).toEqual([]);
  });
});
