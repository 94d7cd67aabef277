/** An ECS cluster: this node, other nodes, and tasks that need time to stop. */

import { Refused, Unavailable } from '../../../core/errors.ts';
import type { ClusterCloud, ContainerInstance, LocalContainer } from '../../../core/host.ts';
import type { FakeClock } from '../clock.ts';

export interface FakeContainerInstance extends Omit<
  ContainerInstance,
  'runningTasks' | 'pendingTasks' | 'queuedFor' | 'others'
> {
  ec2InstanceId: string;
  attributes: Map<string, string>;
}

export interface FakeTask {
  arn: string;
  family: string;
  version: string;
  /** `service:NAME` moves away when its node drains; `family:NAME` stays. */
  group: string;
  lastStatus: string;
  desiredStatus: string;
  /** The status that the agent on the node reports, if it differs from ECS's. */
  knownStatus?: string;
  /** How long the task takes to stop. Infinity: until StopTask, which kills it after 30 s. */
  stopsAfterMs: number;
  containerInstanceArn: string;
  startedBy?: string;
  createdAt?: number;
  stoppedReason?: string;
  containers?: readonly LocalContainer[];
  /** True if ECS protects the task from scale-in. */
  protected?: boolean;
  /** The stop timeout of its own definition. */
  stopTimeoutMs?: number;
  /** True while ECS's lists, and the agent on its node, do not show the new task yet. */
  unlisted?: boolean;
  /** True while the agent on its node does not tell its ARN. */
  unnamed?: boolean;
}

export interface FakeTaskDefinition {
  family: string;
  revision: number;
  status: 'ACTIVE' | 'INACTIVE';
  /** The reason why no task of it can start here, such as `RESOURCE:MEMORY`. */
  failure?: string;
}

export interface FakeCluster {
  name: string;
  instances: FakeContainerInstance[];
  tasks: FakeTask[];
  definitions: FakeTaskDefinition[];
  unsteadyServices: string[];
  /** The cluster's capacity providers, each with the name of its group. */
  capacityProviders: Map<string, string>;
  /** Adds an instance that is ACTIVE and connected. */
  addInstance(more?: Partial<FakeContainerInstance>): FakeContainerInstance;
  /** Adds a running task. */
  addTask(containerInstanceArn: string, more?: Partial<FakeTask>): FakeTask;
  /** Registers the next revision. Returns its ARN. */
  addDefinition(family: string, more?: Partial<FakeTaskDefinition>): string;
}

/** ECS gives a container 30 s between SIGTERM and SIGKILL. */
const stopTimeoutMs = 30_000;

export function openFakeCluster(name: string): FakeCluster {
  let count = 0;
  const arn = (kind: string) =>
    `arn:aws:ecs:us-east-1:123456789012:${kind}/${name}/${String(++count).padStart(32, '0')}`;
  const cluster: FakeCluster = {
    name,
    instances: [],
    tasks: [],
    definitions: [],
    unsteadyServices: [],
    capacityProviders: new Map(),
    addInstance(more = {}) {
      const instance = {
        arn: arn('container-instance'),
        ec2InstanceId: `i-${String(count).padStart(17, '0')}`,
        status: 'ACTIVE',
        agentConnected: true,
        runtimeHealth: 'OK',
        attributes: new Map<string, string>(),
        registeredAt: count,
        ...more,
      };
      cluster.instances.push(instance);
      return instance;
    },
    addTask(containerInstanceArn, more = {}) {
      const task = {
        arn: arn('task'),
        family: 'web',
        version: '1',
        group: 'service:web',
        lastStatus: 'RUNNING',
        desiredStatus: 'RUNNING',
        stopsAfterMs: stopTimeoutMs,
        containerInstanceArn,
        ...more,
      };
      cluster.tasks.push(task);
      return task;
    },
    addDefinition(family, more = {}) {
      const revision = cluster.definitions.filter((each) => each.family === family).length + 1;
      cluster.definitions.push({ family, revision, status: 'ACTIVE', ...more });
      return definitionArn(family, revision);
    },
  };
  return cluster;
}

export const definitionArn = (family: string, revision: number | string) =>
  `arn:aws:ecs:us-east-1:123456789012:task-definition/${family}:${revision}`;

export function openClusterCloud(cluster: FakeCluster, ec2InstanceId: string, clock: FakeClock): ClusterCloud {
  const known = (name: string) => {
    if (name !== cluster.name) throw new Refused(`Cluster not found: ${name}`, { code: 'ClusterNotFoundException' });
  };
  const byArn = (name: string, arn: string): FakeContainerInstance => {
    known(name);
    const instance = cluster.instances.find((candidate) => candidate.arn === arn);
    if (instance === undefined) throw new Refused(`${arn}: MISSING`, { code: 'InvalidParameterException' });
    return instance;
  };
  const onNode = (arn: string) =>
    cluster.tasks.filter((task) => task.containerInstanceArn === arn && task.lastStatus !== 'STOPPED');
  const stop = (task: FakeTask, afterMs: number) => {
    task.desiredStatus = 'STOPPED';
    if (task.lastStatus === 'RUNNING') task.lastStatus = 'STOPPING';
    if (afterMs === Infinity) return;
    clock.schedule(afterMs, () => {
      task.lastStatus = 'STOPPED';
      delete task.knownStatus;
    });
  };
  /** Returns this instance's records: the connected one first, then the newest. */
  const ownRecords = () =>
    cluster.instances
      .filter((each) => each.ec2InstanceId === ec2InstanceId && each.status !== 'INACTIVE')
      .toSorted((a, b) => Number(b.agentConnected) - Number(a.agentConnected) || b.registeredAt - a.registeredAt);
  const key = (reason: string) => `ecs-node.leave.${reason}`;
  const changeable = (instance: FakeContainerInstance) => {
    if (!['ACTIVE', 'DRAINING'].includes(instance.status)) {
      throw new Refused(`a container instance that is ${instance.status} cannot change`, {
        code: 'InvalidParameterException',
      });
    }
    return instance;
  };

  return {
    async readContainerInstance(name, hint) {
      known(name);
      const own = ownRecords();
      const hinted = own.find(({ arn, agentConnected }) => arn === hint && agentConnected);
      const [instance = hinted, ...others] = hinted === undefined ? own : [];
      if (instance === undefined) return undefined;
      const tasks = onNode(instance.arn).filter(({ desiredStatus }) => desiredStatus === 'RUNNING');
      return {
        arn: instance.arn,
        status: instance.status,
        agentConnected: instance.agentConnected,
        ...(instance.runtimeHealth !== undefined && { runtimeHealth: instance.runtimeHealth }),
        ...(instance.capacityProvider !== undefined && { capacityProvider: instance.capacityProvider }),
        runningTasks: tasks.filter(({ lastStatus }) => lastStatus === 'RUNNING').length,
        pendingTasks: tasks.filter(({ lastStatus }) => lastStatus !== 'RUNNING').length,
        queuedFor: [...instance.attributes.keys()].flatMap((name) =>
          name.startsWith(key('')) ? [name.slice(key('').length)] : [],
        ),
        registeredAt: instance.registeredAt,
        others: others.map(({ arn }) => arn),
      };
    },
    async ownsContainerInstance(name, arn) {
      known(name);
      return ownRecords().some((own) => own.arn === arn);
    },
    async readRecords(name, arns) {
      known(name);
      return (
        cluster.instances
          // Real ECS describes 100 at most.
          .filter(({ arn }) => arns.slice(0, 100).includes(arn))
          .map(({ arn, ec2InstanceId: id, agentConnected }) => ({
            arn,
            ec2InstanceId: id,
            agentConnected,
            replaced:
              !agentConnected && cluster.instances.some((one) => one.ec2InstanceId === id && one.agentConnected),
          }))
      );
    },
    async drain(name, arn) {
      changeable(byArn(name, arn)).status = 'DRAINING';
      for (const task of onNode(arn)) {
        const isMoved =
          task.group.startsWith('service:') && task.desiredStatus === 'RUNNING' && task.protected !== true;
        if (isMoved) stop(task, task.stopsAfterMs);
      }
    },
    activate: async (name, arn) => void (changeable(byArn(name, arn)).status = 'ACTIVE'),
    async readTasks(name, arn) {
      byArn(name, arn);
      return onNode(arn)
        .filter(({ unlisted }) => unlisted !== true)
        .map(
          ({
            arn: task,
            containerInstanceArn,
            group,
            lastStatus,
            desiredStatus,
            family,
            version,
            startedBy,
            createdAt,
          }) => ({
            arn: task,
            containerInstanceArn,
            group,
            lastStatus,
            desiredStatus,
            definition: definitionArn(family, version),
            ...(startedBy !== undefined && { startedBy }),
            ...(createdAt !== undefined && { createdAt }),
          }),
        );
    },
    async readStopTimeout(definition, defaultMs) {
      const [task] = cluster.tasks.filter(({ family, version }) => definitionArn(family, version) === definition);
      return task?.stopTimeoutMs ?? defaultMs;
    },
    async readProtectedTasks(name, arns) {
      known(name);
      return cluster.tasks.filter((task) => arns.includes(task.arn) && task.protected === true).map(({ arn }) => arn);
    },
    async stopTask(name, arn, reason) {
      known(name);
      const task = cluster.tasks.find((candidate) => candidate.arn === arn);
      if (task === undefined)
        throw new Refused('The referenced task was not found.', { code: 'InvalidParameterException' });
      task.stoppedReason ??= reason;
      if (task.lastStatus !== 'STOPPED') stop(task, Math.min(task.stopsAfterMs, task.stopTimeoutMs ?? stopTimeoutMs));
    },
    ...openTaskStarter(cluster, byArn, clock),
    async readCapacityProvider(name, group) {
      known(name);
      return [...cluster.capacityProviders].find(([, own]) => own === group)?.[0];
    },
    async deregisterContainerInstance(name, arn) {
      const instance = byArn(name, arn);
      if (instance.status === 'INACTIVE') return;
      if (onNode(arn).length > 0)
        throw new Refused('Found running tasks on the instance.', { code: 'InvalidParameterException' });
      Object.assign(instance, { status: 'INACTIVE', agentConnected: false });
    },
    async readClusterHealth(name) {
      known(name);
      const there = cluster.instances.filter(({ status }) => status === 'ACTIVE' || status === 'DRAINING');
      return {
        registered: there.length,
        draining: there.filter(({ status }) => status === 'DRAINING').length,
        disconnected: there.filter(({ agentConnected }) => !agentConnected).length,
        disconnectedArns: there.flatMap(({ arn, agentConnected }) => (agentConnected ? [] : [arn])).slice(0, 1_000),
      };
    },
    async readUnsteadyServices(name) {
      known(name);
      return cluster.unsteadyServices;
    },
    async queueToLeave(name, arn, reason, since) {
      const { attributes } = byArn(name, arn);
      if (!attributes.has(key(reason))) attributes.set(key(reason), String(since));
    },
    async readLeaveQueue(name, reason) {
      known(name);
      return cluster.instances
        .filter(({ attributes }) => attributes.has(key(reason)))
        .map(({ arn, attributes }) => ({ arn, since: Number(attributes.get(key(reason))) }))
        .toSorted((a, b) => a.since - b.since || (a.arn < b.arn ? -1 : 1));
    },
    unqueue: async (name, arn, reason) => void byArn(name, arn).attributes.delete(key(reason)),
  };
}

function openTaskStarter(
  cluster: FakeCluster,
  byArn: (name: string, arn: string) => FakeContainerInstance,
  clock: FakeClock,
): Pick<ClusterCloud, 'readStopReason' | 'readTaskDefinition' | 'startTask'> {
  const find = (name: string): FakeTaskDefinition | undefined => {
    const [family, revision] = name.replace(/^.*task-definition\//, '').split(':');
    return cluster.definitions.findLast(
      (each) =>
        each.family === family &&
        (revision === undefined ? each.status === 'ACTIVE' : String(each.revision) === revision),
    );
  };
  return {
    async readStopReason(_, arn) {
      const task = cluster.tasks.find((each) => each.arn === arn);
      return task?.lastStatus === 'STOPPED' ? (task.stoppedReason ?? 'stopped') : undefined;
    },
    async readTaskDefinition(name) {
      const found = find(name);
      return found?.status === 'ACTIVE' ? definitionArn(found.family, found.revision) : undefined;
    },
    async startTask(name, arn, definition, startedBy) {
      const { agentConnected } = byArn(name, arn);
      const found = find(definition);
      if (found?.status !== 'ACTIVE')
        throw new Refused('TaskDefinition is inactive or not there', { code: 'ClientException' });
      if (!/^[\w/-]{1,36}$/.test(startedBy))
        throw new Refused('startedBy is too long', { code: 'InvalidParameterException' });
      if (!agentConnected) throw new Unavailable('ecs:StartTask: AGENT');
      if (found.failure !== undefined) throw new Refused(`ecs:StartTask: ${found.failure}`, { code: found.failure });
      const { family, revision } = found;
      const more = { family, version: String(revision), group: `family:${family}`, startedBy, createdAt: clock.now() };
      return cluster.addTask(arn, more).arn;
    },
  };
}
