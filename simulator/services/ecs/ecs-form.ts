/** The form of ECS's descriptions, and the part of its filter language that nodes use. */

import { Refusal } from '../../refusal.ts';
import { renderDeployments } from '../../world/deployments.ts';
import { remaining } from '../../world/scheduler.ts';
import type { Cluster, ContainerInstance, Service, Task, World } from '../../world/state.ts';

type Test = (instance: ContainerInstance) => boolean;

/**
 * Parses terms of the cluster query language joined by `and`. `ids` names the instances that can
 * match, so that the caller need not read all of them.
 */
export function parseFilter(filter: string | undefined): { test: Test; ids?: string[] } {
  if (filter === undefined || filter.trim() === '') return { test: () => true };
  const terms = filter.split(/\s+(?:and|&&)\s+/i).map(parseTerm);
  const ids = terms.find((term) => term.ids)?.ids;
  return { test: (instance) => terms.every(({ test }) => test(instance)), ...(ids && { ids }) };
}

function parseTerm(term: string): { test: Test; ids?: string[] } {
  const found = /^\s*([\w.:-]+)\s*(==|!=|in|exists|!exists)\s*(.*?)\s*$/.exec(term);
  if (!found) throw new Refusal('InvalidParameterException', `Invalid filter: ${term}`);
  const [, subject = '', operator, rest = ''] = found;
  const values = rest
    .replace(/^\[(.*)\]$/, '$1')
    .split(',')
    .map((value) => value.trim().replace(/^["'](.*)["']$/, '$1'));
  const read = readSubject(subject);
  if (operator === '!exists') return { test: (instance) => read(instance) === undefined };
  if (operator === 'exists') return { test: (instance) => read(instance) !== undefined };
  if (operator === '!=') return { test: (instance) => read(instance) !== values[0] };
  const test = (instance: ContainerInstance) => values.includes(read(instance) ?? '');
  return subject === 'ec2InstanceId' ? { test, ids: values } : { test };
}

function readSubject(subject: string): (instance: ContainerInstance) => string | undefined {
  const attribute = /^attribute:(.+)$/.exec(subject)?.[1];
  if (attribute !== undefined) {
    // An attribute can have no value; capabilities have none.
    return ({ attributes }) => (attributes.has(attribute) ? (attributes.get(attribute) ?? '') : undefined);
  }
  switch (subject) {
    case 'ec2InstanceId':
      return ({ instanceId }) => instanceId;
    case 'agentConnected':
      return ({ agentConnected }) => String(agentConnected);
    case 'agentVersion':
      return ({ agentVersion }) => agentVersion;
    case 'runningTasksCount':
      return (instance) => String(countTasks(instance).running);
    default:
      throw new Refusal('InvalidParameterException', `Invalid filter: unknown subject ${subject}`);
  }
}

/** ECS does not count a task that must stop but still runs. */
function countTasks({ tasks }: ContainerInstance): { running: number; pending: number } {
  const wanted = [...tasks.values()].filter(({ desiredStatus }) => desiredStatus === 'RUNNING');
  const running = wanted.filter(({ lastStatus }) => lastStatus === 'RUNNING').length;
  return { running, pending: wanted.length - running };
}

export function renderContainerInstance(world: World, instance: ContainerInstance, include: Set<string>): object {
  const { running, pending } = countTasks(instance);
  const left = remaining(instance);
  const resources = (cpu: number, memory: number) => [
    { name: 'CPU', type: 'INTEGER', doubleValue: 0, longValue: 0, integerValue: cpu },
    { name: 'MEMORY', type: 'INTEGER', doubleValue: 0, longValue: 0, integerValue: memory },
  ];
  const tags = world.instances.get(instance.instanceId)?.tags ?? new Map<string, string>();
  return {
    containerInstanceArn: instance.arn,
    ec2InstanceId: instance.instanceId,
    capacityProviderName: instance.capacityProvider,
    version: 1,
    versionInfo: {
      agentVersion: instance.agentVersion,
      agentHash: '00000000',
      dockerVersion: 'DockerVersion: 25.0.16',
    },
    remainingResources: resources(left.cpu, left.memory),
    registeredResources: resources(instance.cpu, instance.memory),
    status: instance.status,
    agentConnected: instance.agentConnected,
    runningTasksCount: running,
    pendingTasksCount: pending,
    attributes: [...instance.attributes].map(([name, value]) => ({ name, value })),
    registeredAt: new Date(instance.registeredAt),
    attachments: [],
    tags: include.has('TAGS') ? [...tags].map(([key, value]) => ({ key, value })) : [],
    ...(include.has('CONTAINER_INSTANCE_HEALTH') && {
      healthStatus: renderHealth(instance),
    }),
  };
}

function renderHealth({ agentConnected, runtimeHealth, registeredAt }: ContainerInstance): object {
  const status = agentConnected ? runtimeHealth : 'INSUFFICIENT_DATA';
  const at = new Date(registeredAt);
  return {
    overallStatus: status,
    details: [{ type: 'CONTAINER_RUNTIME', status, lastUpdated: at, lastStatusChange: at }],
  };
}

export function renderCluster(cluster: Cluster): object {
  const instances = [...cluster.containerInstances.values()];
  const counts = instances.map(countTasks);
  return {
    clusterArn: cluster.arn,
    clusterName: cluster.name,
    status: 'ACTIVE',
    registeredContainerInstancesCount: instances.length,
    runningTasksCount: counts.reduce((sum, { running }) => sum + running, 0),
    pendingTasksCount: counts.reduce((sum, { pending }) => sum + pending, 0),
    activeServicesCount: [...cluster.services.values()].filter(({ status }) => status === 'ACTIVE').length,
    statistics: [],
    tags: [],
    settings: [],
    capacityProviders: [...cluster.capacityProviders],
    defaultCapacityProviderStrategy: [],
  };
}

const date = (at: number | undefined) => (at === undefined ? undefined : new Date(at));

export function renderTask(cluster: Cluster, task: Task): object {
  return {
    taskArn: task.arn,
    clusterArn: cluster.arn,
    taskDefinitionArn: task.taskDefinition,
    containerInstanceArn: task.containerInstance.arn,
    availabilityZone: task.containerInstance.attributes.get('ecs.availability-zone'),
    lastStatus: task.lastStatus,
    desiredStatus: task.desiredStatus,
    group: task.group,
    startedBy: task.startedBy,
    launchType: 'EC2',
    connectivity: task.containerInstance.agentConnected ? 'CONNECTED' : 'DISCONNECTED',
    cpu: String(task.cpu),
    memory: String(task.memory),
    containers: [],
    attachments: [],
    attributes: [],
    tags: [],
    version: 1,
    createdAt: date(task.createdAt),
    startedAt: date(task.startedAt),
    stoppingAt: date(task.stoppingAt),
    stoppedAt: date(task.stoppedAt),
    executionStoppedAt: date(task.stoppedAt),
    stoppedReason: task.stoppedReason,
    stopCode: task.stopCode,
  };
}

export function renderService(cluster: Cluster, service: Service): object {
  const tasks = [...service.tasks.values()].filter(({ desiredStatus }) => desiredStatus === 'RUNNING');
  const runningCount = tasks.filter(({ lastStatus }) => lastStatus === 'RUNNING').length;
  return {
    serviceArn: service.arn,
    serviceName: service.name,
    clusterArn: cluster.arn,
    status: service.status,
    desiredCount: service.desired,
    runningCount,
    pendingCount: tasks.length - runningCount,
    launchType: 'EC2',
    schedulingStrategy: service.daemon ? 'DAEMON' : 'REPLICA',
    taskDefinition: service.taskDefinition,
    deploymentConfiguration: {
      maximumPercent: service.maximumPercent,
      minimumHealthyPercent: service.minimumHealthyPercent,
    },
    deploymentController: { type: service.controller },
    deployments: renderDeployments(service, runningCount),
    events: [],
    loadBalancers: [],
    serviceRegistries: [],
    placementConstraints: [],
    placementStrategy: [],
  };
}
