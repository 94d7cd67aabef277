/** This node's container instance: under which record ECS knows the node, and whether ECS places tasks on it. */

import type { Config } from '../core/config.ts';
import { Refused, messageOf } from '../core/errors.ts';
import type { Host, LocalAgent } from '../core/host.ts';
import { ask, askOnce } from './asking.ts';

export interface Place {
  cluster: string;
  arn: string;
}

/** The agent answers from memory; a notice must not wait for an agent that hangs. */
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

/**
 * The record of this node; undefined when ECS says that it has none. The agent on this machine is asked first, because that
 * costs no call; its answer counts only when ECS has said that the record is this instance's, since any process may listen
 * on the introspection port.
 */
export async function findPlace(
  host: Host,
  config: Config,
  withinMs: number,
  signal: AbortSignal,
): Promise<Place | undefined> {
  const named = await findNamedRecord(host, withinMs, signal);
  if (named !== undefined) return named;
  const { cluster } = config;
  const instance = await ask(host, withinMs, signal, (inner) =>
    host.cloud.readContainerInstance(cluster, undefined, inner),
  );
  return instance === undefined ? undefined : { cluster, arn: instance.arn };
}

/** The record that the agent on this machine names, when it is this instance's. */
async function findNamedRecord(host: Host, withinMs: number, signal: AbortSignal): Promise<Place | undefined> {
  const local = await readLocalAgent(host, signal);
  const { cluster, containerInstanceArn: arn } = local ?? {};
  if (cluster === undefined || arn === undefined) return undefined;
  try {
    const owns = (inner: AbortSignal) => host.cloud.ownsContainerInstance(cluster, arn, inner);
    if (await ask(host, withinMs, signal, owns)) return { cluster, arn };
    host.log.warn('the introspection port names a container instance that ECS does not say is ours', { arn });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    host.log.warn('ECS does not say whose container instance this is', { arn, error: messageOf(error) });
  }
  return undefined;
}

/** The only function that sets DRAINING. */
export async function stopPlacement(host: Host, place: Place, withinMs: number, signal: AbortSignal): Promise<void> {
  await ask(host, withinMs, signal, (inner) => host.cloud.drain(place.cluster, place.arn, inner));
}

/** The only function that sets ACTIVE. */
export async function resumePlacement(host: Host, place: Place, withinMs: number, signal: AbortSignal): Promise<void> {
  await ask(host, withinMs, signal, (inner) => host.cloud.activate(place.cluster, place.arn, inner));
}
