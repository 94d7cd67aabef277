/** What this machine itself says against ECS's answer that it knows no record of this node. */

import type { Host } from '../../core/host.ts';
import { callOnce } from '../calls.ts';
import { readLocalAgent } from '../container-instance.ts';

/** The ECS agent and Docker answer within milliseconds. A dead one says nothing. */
const localMs = 3_000;

/** The ECS agent's names of containers. Its own container is no task. */
const taskContainer = /^\/?ecs-(?!agent$)/;

/** Undefined where nothing speaks against ECS. Any process may listen on the agent's port. */
export async function findContradiction(host: Host, signal: AbortSignal): Promise<string | undefined> {
  const arn = (await readLocalAgent(host, signal))?.containerInstanceArn;
  if (arn !== undefined) return `the ECS agent names ${arn}`;
  try {
    const containers = await callOnce(host, signal, (callSignal) => host.docker.readContainers(callSignal), localMs);
    const running = containers.filter(({ name, state }) => state === 'running' && taskContainer.test(name));
    return running.length === 0 ? undefined : `Docker runs ${running.length} containers of tasks`;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
