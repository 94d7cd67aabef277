/** What the ECS agent on an instance tells about itself and its tasks. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Cluster, ContainerInstance, PortMapping, Task } from '../world/state.ts';

export interface AgentView {
  cluster: Cluster;
  instance: ContainerInstance;
}

/** A listener for `createServer`; `find` says what the agent is registered as. */
export function openIntrospection(
  find: () => AgentView | undefined,
  log: (operation: string, outcome: string) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const path = (request.url ?? '/').split('?')[0]!;
    const view = find();
    const body = view && render(path, view);
    log(`GET ${path}`, body ? 'ok' : '404');
    response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' });
    response.end(body ? JSON.stringify(body) : '404 page not found');
  };
}

function render(path: string, { cluster, instance }: AgentView): object | undefined {
  if (path === '/v1/metadata') {
    const Version = `Amazon ECS Agent - v${instance.agentVersion} (*00000000)`;
    return { Cluster: cluster.name, ContainerInstanceArn: instance.arn, Version };
  }
  if (path === '/v1/tasks')
    return { Tasks: [...instance.tasks.values(), ...instance.stopped.values()].map(renderTask) };
  if (path === '/') return { AvailableCommands: ['/v1/metadata', '/v1/tasks', '/license'] };
  return undefined;
}

/** The agent knows of containers: what ECS does before and after them it does not see. */
const known: Record<string, string | undefined> = {
  PROVISIONING: 'NONE',
  PENDING: 'CREATED',
  RUNNING: 'RUNNING',
  DEACTIVATING: 'RUNNING',
  STOPPING: 'RUNNING',
  DEPROVISIONING: 'STOPPED',
  STOPPED: 'STOPPED',
};

function renderTask(task: Task): object {
  const [Family = '', Version = ''] = task.taskDefinition.split('/').at(-1)!.split(':');
  // It keeps its containers until ECS has had time to deactivate them.
  const DesiredStatus = task.lastStatus === 'DEACTIVATING' ? 'RUNNING' : task.desiredStatus;
  // Docker binds them when a container starts and lets go when it ends.
  const isBound = ['RUNNING', 'DEACTIVATING', 'STOPPING'].includes(task.lastStatus);
  return {
    Arn: task.arn,
    DesiredStatus,
    KnownStatus: known[task.lastStatus] ?? 'NONE',
    Family,
    Version,
    Containers: task.containers.map(({ name, dockerId, ports }) => ({
      DockerId: dockerId,
      DockerName: `ecs-${Family}-${Version}-${name}-${dockerId.slice(0, 20)}`,
      Name: name,
      ...(isBound && ports.length > 0 && { Ports: ports.map(renderPort) }),
    })),
  };
}

function renderPort({ containerPort, hostPort, protocol }: PortMapping): object {
  return { ContainerPort: containerPort, Protocol: protocol, HostPort: hostPort };
}
