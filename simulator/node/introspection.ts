/** Serves the introspection API of an instance's ECS agent: the agent itself and its tasks. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Cluster, ContainerInstance, PortMapping, Task } from '../world/state.ts';

export interface AgentView {
  cluster: Cluster;
  instance: ContainerInstance;
}

/** Returns a listener for `createServer`; `find` returns the agent's registration. */
export function openIntrospection(
  find: () => AgentView | undefined,
  log: (operation: string, outcome: string) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const path = (request.url ?? '/').split('?')[0]!;
    const view = find();
    const body = view && render(path, view);
    log(`GET ${path}`, body ? 'ok' : '404');
    // The real server answers any other path with a list of its commands.
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body ?? { AvailableCommands: ['/v1/metadata', '/v1/tasks', '/license'] }));
  };
}

function render(path: string, { cluster, instance }: AgentView): object | undefined {
  if (path === '/v1/metadata') {
    const Version = `Amazon ECS Agent - v${instance.agentVersion} (*00000000)`;
    return { Cluster: cluster.name, ContainerInstanceArn: instance.arn, Version };
  }
  if (path === '/v1/tasks')
    return { Tasks: [...instance.tasks.values(), ...instance.stopped.values()].filter(isSent).map(renderTask) };
  return undefined;
}

/**
 * A real agent reports only PENDING, RUNNING or STOPPED (test/samples/ecs-agent). It does not know
 * a task before ECS sends it.
 */
const known: Record<string, 'PENDING' | 'RUNNING' | 'STOPPED' | undefined> = {
  PENDING: 'PENDING',
  RUNNING: 'RUNNING',
  DEACTIVATING: 'RUNNING',
  STOPPING: 'RUNNING',
  DEPROVISIONING: 'STOPPED',
  STOPPED: 'STOPPED',
};

function isSent({ lastStatus }: Task): boolean {
  return known[lastStatus] !== undefined;
}

function renderTask(task: Task): object {
  const [Family = '', Version = ''] = task.taskDefinition.split('/').at(-1)!.split(':');
  // The agent keeps the containers running until ECS has had time to deactivate them.
  const DesiredStatus = task.lastStatus === 'DEACTIVATING' ? 'RUNNING' : task.desiredStatus;
  const { startedAt } = task;
  return {
    Arn: task.arn,
    DesiredStatus,
    KnownStatus: known[task.lastStatus],
    Family,
    Version,
    Containers: task.containers.map(({ name, dockerId, ports }) => ({
      DockerId: dockerId,
      DockerName: `ecs-${Family}-${Version}-${name}-${dockerId.slice(0, 20)}`,
      Name: name,
      CreatedAt: new Date(task.createdAt).toISOString(),
      ...(startedAt !== undefined && { StartedAt: new Date(startedAt).toISOString() }),
      ...(ports.length > 0 && { Ports: ports.flatMap((port) => renderPort(port, startedAt !== undefined)) }),
    })),
  };
}

/** Docker's own range for ports that a task definition does not fix. */
const firstDynamicPort = 32_768;

/**
 * A dynamic port has no host port before its container runs. Then the agent lists each port twice,
 * for IPv4 and for IPv6, and keeps the list after the container ends.
 */
function renderPort({ containerPort, hostPort, protocol }: PortMapping, isBound: boolean): object[] {
  const port = { ContainerPort: containerPort, Protocol: protocol };
  if (isBound)
    return [
      { ...port, HostPort: hostPort },
      { ...port, HostPort: hostPort },
    ];
  return [hostPort >= firstDynamicPort ? port : { ...port, HostPort: hostPort }];
}
