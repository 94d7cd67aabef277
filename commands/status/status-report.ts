/**
 * Collects the report of `ecs-node status` from the node's own files. It needs neither the network
 * nor a running bootstrap or agent.
 */

import { isAgentStatus, type AgentStatus } from '../../agent/status.ts';
import type { Machine } from '../../core/host.ts';
import type { Identity } from '../../core/identity.ts';
import { paths, type BootstrapState, type DepartureState, type OperatorRequest } from '../../core/state/state.ts';
import { isBootstrapState, isDepartureState, isRequest } from '../../core/state/state-shape.ts';
import { isDaemonTasks, type DaemonTasks } from '../../upkeep/daemon-tasks-memory.ts';

export interface Status {
  instanceId?: string;
  identity?: Identity;
  cluster?: string;
  bootstrap?: BootstrapState;
  /** The agent's last record. */
  agent?: AgentStatus;
  departure?: DepartureState;
  daemonTasks?: DaemonTasks;
  /** An operator's request that the agent has not taken up yet. */
  request?: OperatorRequest;
  /** Remarks about the files themselves. */
  remarks: string[];
}

/**
 * On Nitro instances the firmware knows the instance id. It reveals a state file that was copied
 * with an image.
 */
const assetTag = '/sys/devices/virtual/dmi/id/board_asset_tag';

export async function readStatus(machine: Machine): Promise<Status> {
  const remarks: string[] = [];
  const read = async <T extends { instanceId: string }>(path: string, isWhole: Shape): Promise<T | undefined> => {
    const text = await machine.readText(path).catch((error: unknown) => {
      remarks.push(error instanceof Error ? error.message : String(error));
      return undefined;
    });
    if (text === undefined) return undefined;
    const state = parse<T>(text, isWhole);
    if (state === undefined)
      remarks.push(`${path}: does not have the form that ecs-node writes; it is ignored, and will be written anew`);
    return state;
  };
  const bootstrap = await read<BootstrapState>(paths.bootstrap, isBootstrapState);
  const agent = await read<AgentStatus>(paths.agent, isAgentStatus);
  const departure = await read<DepartureState>(paths.departure, isDepartureState);
  const request =
    (await read<OperatorRequest>(paths.requestInMemory, isRequest)) ??
    (await read<OperatorRequest>(paths.request, isRequest));
  const daemonTasks = await read<DaemonTasks>(paths.daemonTasks, isDaemonTasks);
  const own = (await readOwnId(machine)) ?? agent?.instanceId ?? bootstrap?.instanceId ?? departure?.instanceId;
  const ofThisNode = <T extends { instanceId: string }>(path: string, state: T | undefined): T | undefined => {
    if (state === undefined || state.instanceId === own) return state;
    remarks.push(`${path}: is about ${state.instanceId}, another instance (copied with an image?); it is ignored`);
    return undefined;
  };
  const boot = ofThisNode(paths.bootstrap, bootstrap);
  const found = {
    instanceId: own,
    identity: boot?.identity,
    cluster: boot?.cluster,
    bootstrap: boot,
    agent: ofThisNode(paths.agent, agent),
    departure: ofThisNode(paths.departure, departure),
    request: ofThisNode(paths.request, request),
    daemonTasks: ofThisNode(paths.daemonTasks, daemonTasks),
  };
  const known = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
  return { ...(known as Omit<Status, 'remarks'>), remarks };
}

async function readOwnId(machine: Machine): Promise<string | undefined> {
  const text = await machine.readText(assetTag).catch(() => undefined);
  const id = text?.trim() ?? '';
  return /^i-[0-9a-f]{8,17}$/.test(id) ? id : undefined;
}

type Shape = (state: unknown) => boolean;

function parse<T extends { instanceId: string }>(text: string, isWhole: Shape): T | undefined {
  try {
    const state = JSON.parse(text) as T;
    return isWhole(state) ? state : undefined;
  } catch {
    return undefined;
  }
}
