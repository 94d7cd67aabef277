/** Opens everything that the node needs. Only this file combines the parts of host/. */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Cloud, Docker, EcsAgent, Host, Machine, Metadata } from '../../core/host.ts';
import type { Identity } from '../../core/identity.ts';
import { retry, type Clock } from '../../core/retry.ts';
import { guardRecords } from '../../host/aws/ecs/own-records.ts';
import { openClock } from '../../host/clock.ts';
import { openDocker } from '../../host/docker.ts';
import { openEcsAgent } from '../../host/ecs-introspection.ts';
import { openMetadata } from '../../host/metadata/imds.ts';
import { openMachine } from '../../host/machine.ts';
import { mustBeSafeEndpoints } from '../../host/http/endpoint-safety.ts';
import { parseProxy } from '../../host/network/proxy.ts';
import { openOutbox } from '../../upkeep/events/outbox.ts';
import type { CommandContext } from '../../cli/command.ts';

/**
 * How long a process that ends waits for its last events. A call takes a tenth of a second, and the
 * machine may end meanwhile.
 */
export const lastEventsMs = 3_000;

/** The parts that need no identity. */
export interface LocalHost {
  machine: Machine;
  metadata: Metadata;
  docker: Docker;
  clock: Clock;
}

export function openLocalHost({ root, environment }: Pick<CommandContext, 'root' | 'environment'>): LocalHost {
  // Before any call or write, although the endpoints are needed only later.
  mustBeSafeEndpoints(environment);
  parseProxy(environment);
  const clock = openClock();
  const docker = openDocker(root);
  return { machine: openMachine(root, environment), metadata: openMetadata(environment, clock), docker, clock };
}

/**
 * Calls the metadata service, which may be late at boot, until `withinMs` is over. Then throws
 * Unavailable.
 */
export async function callMetadata<T>(
  { clock }: Pick<LocalHost, 'clock'>,
  context: Pick<CommandContext, 'log'>,
  withinMs: number,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const onRetry = (error: unknown, pauseMs: number) =>
    context.log.warn('metadata not available yet', { error: messageOf(error), pauseMs: Math.round(pauseMs) });
  return retry(call, { clock, signal, withinMs, pauseMs: 500, maxPauseMs: 5_000, onRetry });
}

export function openHost(
  localHost: LocalHost,
  context: Pick<CommandContext, 'log'>,
  identity: Identity,
  config: Pick<Config, 'ecs' | 'cluster' | 'events'>,
  cloud: Cloud,
): Host {
  const ecsAgent: EcsAgent = openEcsAgent(config.ecs.introspectionEndpoint);
  const host = { ...localHost, identity, cloud: guardRecords(cloud), ecsAgent, log: context.log };
  return { ...host, events: openOutbox(host, { cluster: config.cluster, bus: config.events.bus }) };
}
