/** This node's container instance: its record in ECS, and whether ECS places tasks on it. */

import type { Config } from '../config/config.ts';
import { Refused, messageOf } from '../core/errors.ts';
import type { Host, LocalAgent } from '../core/host.ts';
import { callWithRetry, callOnce } from './calls.ts';

export interface ContainerInstanceRef {
  cluster: string;
  arn: string;
  /** As ECS reports it; absent where it was not asked for. */
  status?: string;
}

/** The ECS agent answers from memory. A departure must not wait for an agent that hangs. */
const introspectionMs = 1_500;

/** The answer of the ECS agent on this machine; undefined when it does not answer. */
export async function readLocalAgent(host: Host, signal: AbortSignal): Promise<LocalAgent | undefined> {
  try {
    return await callOnce(host, signal, (callSignal) => host.ecsAgent.readAgent(callSignal), introspectionMs);
  } catch (error) {
    signal.throwIfAborted();
    host.log.debug('introspection failed', { error: String(error) });
    return undefined;
  }
}

/**
 * The record of this node; undefined when ECS says that there is none. The local ECS agent is asked
 * first, because that costs no AWS call. Any process may listen on the introspection port, so the
 * answer counts only when ECS confirms that the record belongs to this instance.
 */
export async function findContainerInstance(
  host: Host,
  config: Config,
  withinMs: number,
  signal: AbortSignal,
): Promise<ContainerInstanceRef | undefined> {
  const named = await findNamedRecord(host, withinMs, signal);
  if (named !== undefined) return named;
  const { cluster } = config;
  const instance = await callWithRetry(host, withinMs, signal, (callSignal) =>
    host.cloud.readContainerInstance(cluster, undefined, callSignal),
  );
  return instance === undefined ? undefined : { cluster, arn: instance.arn };
}

/**
 * The record of this node, and the one that ECS takes for the real one where the local ECS agent
 * names another record of this instance: any process may name an old record on its port.
 */
export async function findContainerInstances(
  host: Host,
  config: Config,
  withinMs: number,
  signal: AbortSignal,
): Promise<ContainerInstanceRef[]> {
  const found = await findContainerInstance(host, config, withinMs, signal);
  if (found === undefined) return [];
  const { cluster, arn } = found;
  try {
    const real = await callWithRetry(host, withinMs, signal, (callSignal) =>
      host.cloud.readContainerInstance(cluster, arn, callSignal),
    );
    if (real === undefined) return [found];
    const seen = { cluster, arn: real.arn, status: real.status };
    return real.arn === arn ? [seen] : [found, seen];
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('other records of this instance not seen', { error: messageOf(error) });
    return [found];
  }
}

/** The record that the local ECS agent names, when it belongs to this instance. */
async function findNamedRecord(
  host: Host,
  withinMs: number,
  signal: AbortSignal,
): Promise<ContainerInstanceRef | undefined> {
  const local = await readLocalAgent(host, signal);
  const { cluster, containerInstanceArn: arn } = local ?? {};
  if (cluster === undefined || arn === undefined) return undefined;
  try {
    const owns = (callSignal: AbortSignal) => host.cloud.ownsContainerInstance(cluster, arn, callSignal);
    if (await callWithRetry(host, withinMs, signal, owns)) return { cluster, arn };
    host.log.warn('the introspection port names a container instance that ECS does not say is ours', { arn });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    host.log.warn('ECS does not say whose container instance this is', { arn, error: messageOf(error) });
  }
  return undefined;
}

type SetPlacement = (
  host: Host,
  containerInstance: ContainerInstanceRef,
  withinMs: number,
  signal: AbortSignal,
) => Promise<void>;

/** The only function that sets DRAINING. */
export const stopPlacement: SetPlacement = (host, { cluster, arn }, withinMs, signal) =>
  callWithRetry(host, withinMs, signal, (callSignal) => host.cloud.drain(cluster, arn, callSignal));

/** The only function that sets ACTIVE. */
export const resumePlacement: SetPlacement = (host, { cluster, arn }, withinMs, signal) =>
  callWithRetry(host, withinMs, signal, (callSignal) => host.cloud.activate(cluster, arn, callSignal));

/**
 * Other records of this instance, which an ECS agent that lost its state left behind. Empty where
 * ECS does not answer.
 */
export async function findOtherRecords(
  host: Host,
  { cluster, arn }: ContainerInstanceRef,
  withinMs: number,
  signal: AbortSignal,
): Promise<ContainerInstanceRef[]> {
  const read = (callSignal: AbortSignal) => host.cloud.readContainerInstance(cluster, undefined, callSignal);
  try {
    const found = await callWithRetry(host, withinMs, signal, read);
    const arns = found === undefined ? [] : [found.arn, ...found.others];
    return arns.filter((each) => each !== arn).map((each) => ({ cluster, arn: each }));
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('other records of this instance not seen', { error: messageOf(error) });
    return [];
  }
}
