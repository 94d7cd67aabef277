import {
  DeregisterContainerInstanceCommand,
  DeregisterTaskDefinitionCommand,
  DescribeContainerInstancesCommand,
  DescribeServicesCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ListAttributesCommand,
  ListContainerInstancesCommand,
  ListTasksCommand,
  PutAttributesCommand,
  RegisterTaskDefinitionCommand,
  StartTaskCommand,
  StopTaskCommand,
  UpdateContainerInstancesStateCommand,
  type ContainerDefinition,
  type StartTaskRequest,
} from '@aws-sdk/client-ecs';
import { describe, expect, it } from 'vitest';
import { waitFor } from '../../simulator/wait-for.ts';
import { httpRequest, clients, codeOf, open } from './stage.ts';

const cluster = 'demo';

async function stage(nodes = 1) {
  const simulator = await open();
  const instances = await simulator.verbs.scaleTo('ecs-nodes', nodes);
  const ids = instances.map(({ id }) => id);
  const { byInstance, tasks } = simulator.world.clusters.get(cluster)!;
  for (const id of ids) simulator.verbs.startEcsAgent(id, cluster);
  await waitFor('registered', () => byInstance.size === nodes);
  const { ecs } = clients(simulator);
  const arnOf = (id: string) => byInstance.get(id)!.arn;
  const drain = (arn: string) =>
    ecs.send(new UpdateContainerInstancesStateCommand({ cluster, containerInstances: [arn], status: 'DRAINING' }));
  const running = (id: string) =>
    [...tasks.values()].filter((task) => task.lastStatus === 'RUNNING' && task.containerInstance.instanceId === id);
  return { simulator, ids, ecs, arnOf, drain, running, tasks };
}

describe('container instances', () => {
  it('are found by their instance, and described', async () => {
    const { ids, ecs, arnOf } = await stage(2);
    for (const filter of [`ec2InstanceId == ${ids[1]}`, `ec2InstanceId in [${ids[1]}, i-00000000000000000]`]) {
      const { containerInstanceArns } = await ecs.send(new ListContainerInstancesCommand({ cluster, filter }));
      expect(containerInstanceArns).toEqual([arnOf(ids[1]!)]);
    }
    const missing = 'arn:aws:ecs:us-east-1:123456789012:container-instance/demo/00000000000000000000000000000000';
    const answer = await ecs.send(
      new DescribeContainerInstancesCommand({ cluster, containerInstances: [arnOf(ids[0]!), missing] }),
    );
    expect(answer.containerInstances).toMatchObject([
      { ec2InstanceId: ids[0], status: 'ACTIVE', agentConnected: true },
    ]);
    expect(answer.failures).toEqual([{ arn: missing, reason: 'MISSING' }]);
    expect(answer.containerInstances![0]!.registeredAt).toBeInstanceOf(Date);
  });

  it('are listed in pages', async () => {
    const { ecs } = await stage(7);
    const arns = new Set<string>();
    let nextToken: string | undefined;
    do {
      const page = await ecs.send(
        new ListContainerInstancesCommand({ cluster, maxResults: 3, ...(nextToken && { nextToken }) }),
      );
      page.containerInstanceArns!.forEach((arn) => arns.add(arn));
      nextToken = page.nextToken;
    } while (nextToken);
    expect(arns.size).toBe(7);
  });

  it('refuse a state they cannot have, and too many at once', async () => {
    const { ids, ecs, arnOf } = await stage();
    const containerInstances = [arnOf(ids[0]!)];
    const update = (input: object) => codeOf(ecs.send(new UpdateContainerInstancesStateCommand(input as never)));
    expect(await update({ cluster, containerInstances, status: 'INACTIVE' })).toBe('InvalidParameterException');
    const many = Array.from({ length: 11 }, () => containerInstances[0]!);
    expect(await update({ cluster, containerInstances: many, status: 'DRAINING' })).toBe('InvalidParameterException');
    expect(await update({ cluster: 'nowhere', containerInstances, status: 'DRAINING' })).toBe(
      'ClusterNotFoundException',
    );
  });

  it('vanish with their machine, and stay when the agent was disconnected before', async () => {
    const { simulator, ids, ecs } = await stage(2);
    simulator.verbs.disconnectEcsAgent(ids[1]!);
    ids.forEach((id) => simulator.verbs.terminate(id));
    const list = async () => (await ecs.send(new ListContainerInstancesCommand({ cluster }))).containerInstanceArns;
    await waitFor('one left', async () => (await list())?.length === 1);
    const left = await ecs.send(new ListContainerInstancesCommand({ cluster, filter: 'agentConnected == false' }));
    expect(left.containerInstanceArns).toHaveLength(1);
  });

  it('carry attributes, other than those of ECS', async () => {
    const { ids, ecs, arnOf } = await stage();
    const targetId = arnOf(ids[0]!);
    const put = (name: string) =>
      codeOf(
        ecs.send(
          new PutAttributesCommand({
            cluster,
            attributes: [{ name, value: '1', targetType: 'container-instance', targetId }],
          }),
        ),
      );
    expect(await put('ecs.instance-type')).toBe('InvalidParameterException');
    expect(await put('ecs-node.leave.disk')).toBe('ok');
    const { attributes } = await ecs.send(
      new ListAttributesCommand({ cluster, targetType: 'container-instance', attributeName: 'ecs-node.leave.disk' }),
    );
    expect(attributes).toEqual([
      { name: 'ecs-node.leave.disk', value: '1', targetType: 'container-instance', targetId },
    ]);
  });
});

describe('draining', () => {
  it('moves service tasks once they run elsewhere, and leaves standalone tasks', async () => {
    const { simulator, ids, arnOf, drain, running, ecs } = await stage(2);
    simulator.verbs.createService(cluster, { name: 'web', desired: 2 });
    await waitFor('spread', () => ids.every((id) => running(id).length === 1));
    simulator.verbs.runTask(cluster, ids[0]!);
    await waitFor('it runs', () => running(ids[0]!).length === 2);
    await drain(arnOf(ids[0]!));
    await waitFor('moved', () => running(ids[1]!).length === 2);
    await waitFor('only the standalone task is left', () => running(ids[0]!).length === 1);
    expect(running(ids[0]!)[0]!.group).toBe('family:batch');
    const { services } = await ecs.send(new DescribeServicesCommand({ cluster, services: ['web'] }));
    expect(services).toMatchObject([{ desiredCount: 2, runningCount: 2 }]);
    const deregister = new DeregisterContainerInstanceCommand({ cluster, containerInstance: arnOf(ids[0]!) });
    expect(await codeOf(ecs.send(deregister))).toBe('InvalidParameterException');
  });

  it('stops nothing when there is no capacity elsewhere and all must stay healthy', async () => {
    const { simulator, ids, arnOf, drain, running } = await stage();
    simulator.verbs.createService(cluster, { name: 'web', desired: 1 });
    await waitFor('it runs', () => running(ids[0]!).length === 1);
    await drain(arnOf(ids[0]!));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(running(ids[0]!)).toHaveLength(1);
  });

  it('stops daemons last', async () => {
    const { simulator, ids, arnOf, drain, running } = await stage(2);
    simulator.verbs.createService(cluster, { name: 'logs', daemon: true });
    simulator.verbs.createService(cluster, { name: 'web', desired: 2, stopMs: 60 });
    await waitFor('all run', () => ids.every((id) => running(id).length === 2));
    const ends: string[] = [];
    simulator.world.listeners.add((event) => {
      if (event.kind === 'task' && event.state === 'STOPPED') ends.push(event.task.group);
    });
    await drain(arnOf(ids[0]!));
    await waitFor('both ended', () => ends.length === 2);
    expect(ends).toEqual(['service:web', 'service:logs']);
  });
});

describe('a task that is stopped', () => {
  it('goes through its states and is counted nowhere meanwhile; introspection sees its containers', async () => {
    const { simulator, ids, ecs, arnOf, running } = await stage();
    const task = simulator.verbs.runTask(cluster, ids[0]!, { stopMs: 1_000 });
    await waitFor('it runs', () => running(ids[0]!).length === 1);
    const states: string[] = [];
    simulator.world.listeners.add((event) => {
      if (event.kind === 'task' && states.at(-1) !== event.state) states.push(event.state);
    });
    await ecs.send(new StopTaskCommand({ cluster, task }));
    await waitFor('stopping', () => states.includes('STOPPING'));
    const containerInstance = arnOf(ids[0]!);
    const { containerInstances } = await ecs.send(
      new DescribeContainerInstancesCommand({ cluster, containerInstances: [containerInstance] }),
    );
    expect(containerInstances).toMatchObject([{ runningTasksCount: 0, pendingTasksCount: 0 }]);
    const stopped = { cluster, containerInstance, desiredStatus: 'STOPPED' as const };
    expect((await ecs.send(new ListTasksCommand(stopped))).taskArns).toEqual([task]);
    const { body } = await httpRequest(`${simulator.introspectionEndpoint(ids[0]!)}/v1/tasks`);
    expect(JSON.parse(body)).toMatchObject({
      Tasks: [{ Arn: task, DesiredStatus: 'STOPPED', KnownStatus: 'RUNNING' }],
    });
    await waitFor('stopped', () => states.includes('STOPPED'));
    expect(states).toEqual(['RUNNING', 'DEACTIVATING', 'STOPPING', 'DEPROVISIONING', 'STOPPED']);
    const { tasks } = await ecs.send(new DescribeTasksCommand({ cluster, tasks: [task] }));
    expect(tasks).toMatchObject([{ lastStatus: 'STOPPED', stopCode: 'UserInitiated' }]);
  });
});

describe('introspection', () => {
  it('refuses connections until the agent has registered, and when it is stopped', async () => {
    const simulator = await open();
    const { id } = await simulator.verbs.launch();
    const url = `${simulator.introspectionEndpoint(id)}/v1/metadata`;
    await expect(httpRequest(url)).rejects.toThrow('ECONNREFUSED');
    simulator.verbs.startEcsAgent(id, 'nowhere');
    await new Promise((resolve) => setTimeout(resolve, 30));
    await expect(httpRequest(url)).rejects.toThrow('ECONNREFUSED');
    simulator.verbs.startEcsAgent(id, cluster);
    const answers = async () => (await httpRequest(url).catch(() => undefined))?.body ?? '{}';
    await waitFor('it answers', async () => (JSON.parse(await answers()) as { Cluster?: string }).Cluster === cluster);
    simulator.verbs.stopEcsAgent(id);
    await expect(httpRequest(url)).rejects.toThrow('ECONNREFUSED');
    expect(simulator.world.clusters.get(cluster)!.byInstance.get(id)).toMatchObject({ agentConnected: false });
  });
});

describe('task definitions', () => {
  const register = (ecs: Awaited<ReturnType<typeof stage>>['ecs'], more: Partial<ContainerDefinition> = {}) =>
    ecs.send(
      new RegisterTaskDefinitionCommand({
        family: 'logs',
        containerDefinitions: [{ name: 'logs', image: 'logs:1', memory: 64, cpu: 32, ...more }],
      }),
    );
  const start = (ecs: Awaited<ReturnType<typeof stage>>['ecs'], arn: string, more: Partial<StartTaskRequest> = {}) =>
    ecs.send(new StartTaskCommand({ cluster, containerInstances: [arn], taskDefinition: 'logs', ...more }));

  it('are numbered, and a family is its newest ACTIVE revision', async () => {
    const { ecs } = await stage();
    await register(ecs);
    expect((await register(ecs)).taskDefinition).toMatchObject({ revision: 2, status: 'ACTIVE' });
    const describe = async (taskDefinition: string) =>
      (await ecs.send(new DescribeTaskDefinitionCommand({ taskDefinition }))).taskDefinition;
    expect(await describe('logs')).toMatchObject({ revision: 2 });
    await ecs.send(new DeregisterTaskDefinitionCommand({ taskDefinition: 'logs:2' }));
    expect(await describe('logs')).toMatchObject({ revision: 1 });
    expect(await describe('logs:2')).toMatchObject({ status: 'INACTIVE' });
    expect(await codeOf(describe('web'))).toBe('ClientException');
  });

  it('start no task without room or a free host port, without the agent, or from an INACTIVE revision', async () => {
    const { simulator, ids, ecs, arnOf } = await stage();
    const arn = arnOf(ids[0]!);
    const reason = async (more: Partial<StartTaskRequest> = {}) =>
      (await start(ecs, arn, more)).failures?.map((failure) => failure.reason);
    await register(ecs, { memory: 9_999 });
    expect(await reason()).toEqual(['RESOURCE:MEMORY']);
    await register(ecs, { cpu: 9_999 });
    expect(await reason()).toEqual(['RESOURCE:CPU']);
    await register(ecs, { portMappings: [{ containerPort: 80, hostPort: 80 }] });
    expect(await reason()).toEqual([]);
    expect(await reason()).toEqual(['RESOURCE:PORTS']);
    expect(await reason({ containerInstances: ['00000000000000000000000000000000'] })).toEqual(['MISSING']);
    await register(ecs);
    simulator.verbs.disconnectEcsAgent(ids[0]!);
    expect(await reason()).toEqual(['AGENT']);
    simulator.verbs.deregisterTaskDefinition('logs:4');
    expect(await codeOf(start(ecs, arn, { taskDefinition: 'logs:4' }))).toBe('ClientException');
    expect(await codeOf(start(ecs, arn, { startedBy: 'x'.repeat(37) }))).toBe('InvalidParameterException');
  });

  it('give each container a host port of its own, which introspection lists for IPv4 and for IPv6', async () => {
    const { simulator, ids, ecs, arnOf, running } = await stage();
    await register(ecs, { portMappings: [{ containerPort: 9010 }] });
    await start(ecs, arnOf(ids[0]!));
    await start(ecs, arnOf(ids[0]!));
    await waitFor('both run', () => running(ids[0]!).length === 2);
    const read = async () => {
      const answer = await fetch(`${simulator.introspectionEndpoint(ids[0]!)}/v1/tasks`);
      const { Tasks } = (await answer.json()) as {
        Tasks: { Arn: string; KnownStatus: string; Containers: { Ports?: object[] }[] }[];
      };
      return Tasks;
    };
    const ports = (await read()).flatMap(({ Containers }) => Containers.flatMap(({ Ports }) => Ports));
    expect(ports).toEqual([
      { ContainerPort: 9010, Protocol: 'tcp', HostPort: 32_768 },
      { ContainerPort: 9010, Protocol: 'tcp', HostPort: 32_768 },
      { ContainerPort: 9010, Protocol: 'tcp', HostPort: 32_769 },
      { ContainerPort: 9010, Protocol: 'tcp', HostPort: 32_769 },
    ]);
    const [task] = await read();
    simulator.verbs.endTask(cluster, task!.Arn);
    await waitFor('one is left', () => running(ids[0]!).length === 1);
    // A real agent keeps the list after the end.
    await waitFor('the agent says STOPPED', async () =>
      (await read()).some(({ KnownStatus }) => KnownStatus === 'STOPPED'),
    );
    expect((await read()).map(({ Containers }) => Containers[0]!.Ports?.length)).toEqual([2, 2]);
  });
});

describe('a daemon service', () => {
  it('leaves a draining instance after the replicas, and waits for no standalone task', async () => {
    const { simulator, ids, arnOf, drain, running } = await stage(2);
    simulator.verbs.createService(cluster, { name: 'logs-daemon', daemon: true });
    await waitFor('one on each', () => ids.every((id) => running(id).length === 1));
    const lonely = simulator.verbs.runTask(cluster, ids[0]!);
    await waitFor('it runs', () => running(ids[0]!).length === 2);
    await drain(arnOf(ids[0]!));
    await waitFor('the daemon has gone', () => running(ids[0]!).length === 1);
    expect(running(ids[0]!)[0]!.arn).toBe(lonely);
  });
});
