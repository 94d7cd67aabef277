/** The ECS agent's own report about itself and its tasks, without AWS and without permissions. */

import { Unavailable } from '../core/errors.ts';
import type { EcsAgent, LocalContainer, LocalTask, PortBinding } from '../core/host.ts';
import { codeOf } from './files/error-code.ts';
import { openLocalService } from './http/local-service.ts';

const serviceName = 'ECS agent';

/** The agent answers from memory. If it takes longer, it hangs. */
const requestTimeoutMs = 2_000;

/**
 * A task has about 1 kB here, with some containers. A node runs some hundreds at most, and the
 * agent keeps stopped ones for hours.
 */
const maxBytes = 8 * 1024 * 1024;

/**
 * By name or by ARN. Any program may answer on this port while the ECS agent does not listen, and
 * its text would reach the status of the node.
 */
const clusterForm = /^(arn:[\w-]+:ecs:[\w-]+:\d{12}:cluster\/)?[A-Za-z0-9_-]{1,255}$/;

export function openEcsAgent(endpoint: string): EcsAgent {
  const service = openLocalService(new URL(endpoint), { serviceName, timeoutMs: requestTimeoutMs, maxBytes });
  const read = async (path: string, signal: AbortSignal): Promise<Record<string, unknown> | undefined> => {
    try {
      const { status, body } = await service.send({ path }, signal);
      if (status !== 200) throw new Unavailable(`${serviceName}: ${path} answered ${status}`);
      return parseObject(body.toString(), path);
    } catch (error) {
      // The agent's server starts only after registration.
      if (codeOf(error) === 'ECONNREFUSED') return undefined;
      throw error;
    }
  };
  return {
    async readAgent(signal) {
      const answer = await read('/v1/metadata', signal);
      if (answer === undefined) return undefined;
      const { Cluster: cluster, ContainerInstanceArn: arn, Version: version } = answer;
      if (typeof cluster !== 'string' || !clusterForm.test(cluster))
        throw new Unavailable(`${serviceName}: /v1/metadata has no Cluster`);
      return {
        cluster,
        version: typeof version === 'string' ? version : '',
        ...(typeof arn === 'string' && arn !== '' && { containerInstanceArn: arn }),
      };
    },
    async readTasks(signal) {
      const answer = await read('/v1/tasks', signal);
      if (answer === undefined) return undefined;
      // The agent always writes the field, and answers a path that it does not know with another
      // object (amazon-ecs-agent: agent/handlers/v1/response.go).
      const tasks = answer['Tasks'] === null ? [] : answer['Tasks'];
      if (!Array.isArray(tasks)) throw new Unavailable(`${serviceName}: /v1/tasks has no list of Tasks`);
      const parsed = tasks.map(parseTask);
      // One bad entry must not hide the other tasks. An answer without any ARN is no list of tasks.
      if (parsed.length > 0 && parsed.every(({ arn }) => arn === ''))
        throw new Unavailable(`${serviceName}: /v1/tasks has no task with an Arn`);
      return parsed;
    },
  };
}

/**
 * A task without a known status counts as not stopped: the agent leaves the field empty until the
 * task has one.
 */
function parseTask(task: unknown): LocalTask {
  const fields = (task ?? {}) as Record<string, unknown>;
  const text = (key: string) => (typeof fields[key] === 'string' ? fields[key] : '');
  return {
    arn: text('Arn'),
    family: text('Family'),
    version: text('Version'),
    desiredStatus: text('DesiredStatus'),
    knownStatus: text('KnownStatus'),
    containers: listOf(fields['Containers']).map((container) =>
      parseContainer(container, text('KnownStatus') === 'RUNNING'),
    ),
  };
}

/**
 * The agent lists static ports before the container starts, and dynamic ones without a host port. A
 * partial list would look complete, so none is returned until then. A task is RUNNING only after
 * all its containers have started.
 */
function parseContainer(fields: Fields, taskRuns: boolean): LocalContainer {
  const { Name: name, DockerId: dockerId, StartedAt: startedAt } = fields;
  const ports = listOf(fields['Ports']).map(parsePort);
  const hasStarted = taskRuns || (typeof startedAt === 'string' && startedAt !== '');
  const bound = ports.filter((port) => port !== undefined);
  const address = parseTaskAddress(fields['Networks']);
  return {
    name: typeof name === 'string' ? name : '',
    dockerId: typeof dockerId === 'string' ? dockerId : '',
    ports: hasStarted && bound.length === ports.length ? bound : [],
    ...(address !== undefined && { address }),
  };
}

/** Undefined: the port has no host port yet. */
function parsePort(fields: Fields): PortBinding | undefined {
  const { ContainerPort: containerPort, HostPort: hostPort, Protocol: protocol, HostIp: hostIp } = fields;
  if (typeof containerPort !== 'number' || typeof hostPort !== 'number' || hostPort === 0) return undefined;
  return {
    protocol: typeof protocol === 'string' ? protocol : 'tcp',
    containerPort,
    hostPort,
    ...(typeof hostIp === 'string' && hostIp !== '' && { hostIp }),
  };
}

/** The agent names a network only for a task with its own interface (awsvpc). */
function parseTaskAddress(networks: unknown): string | undefined {
  const [network] = listOf(networks);
  const addresses = [network?.['IPv4Addresses'], network?.['IPv6Addresses']].flat();
  return addresses.find((address): address is string => typeof address === 'string' && address !== '');
}

type Fields = Readonly<Record<string, unknown>>;

function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.map((each: unknown) => (each ?? {}) as Fields) : [];
}

function parseObject(text: string, path: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new Unavailable(`${serviceName}: ${path} answered with something that is not JSON`, { cause });
  }
  throw new Unavailable(`${serviceName}: ${path} answered with something that is not an object`);
}
