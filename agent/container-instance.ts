/** This node's container instance: where it is registered, and whether ECS places tasks on it. */

import type { Config } from '../core/config.ts';
import type { Host, LocalAgent } from '../core/host.ts';
import { ask, askOnce } from './asking.ts';

export interface Place {
  cluster: string;
  arn: string;
}

/** It answers from memory; a notice must not wait for one that hangs. */
const introspectionMs = 1_500;

/** What the agent on this machine says; undefined when it says nothing. */
export async function readLocalAgent(host: Host, signal: AbortSignal): Promise<LocalAgent | undefined> {
  try {
    return await askOnce(host, signal, (inner) => host.ecsAgent.readAgent(inner), introspectionMs);
  } catch (error) {
    signal.throwIfAborted();
    host.log.debug('introspection failed', { error: String(error) });
    return undefined;
  }
}

/** Asks the agent on this machine first, which costs no call; undefined when ECS does not know this node. */
export async function findPlace(
  host: Host,
  config: Config,
  withinMs: number,
  signal: AbortSignal,
): Promise<Place | undefined> {
  const local = await readLocalAgent(host, signal);
  if (local?.containerInstanceArn !== undefined) return { cluster: local.cluster, arn: local.containerInstanceArn };
  const { cluster } = config;
  const instance = await ask(host, withinMs, signal, (inner) =>
    host.cloud.readContainerInstance(cluster, undefined, inner),
  );
  return instance === undefined ? undefined : { cluster, arn: instance.arn };
}

/** The only place that sets DRAINING. */
export async function stopPlacement(host: Host, place: Place, withinMs: number, signal: AbortSignal): Promise<void> {
  await ask(host, withinMs, signal, (inner) => host.cloud.drain(place.cluster, place.arn, inner));
}

/** The only place that sets ACTIVE. */
export async function resumePlacement(host: Host, place: Place, withinMs: number, signal: AbortSignal): Promise<void> {
  await ask(host, withinMs, signal, (inner) => host.cloud.activate(place.cluster, place.arn, inner));
}
