/** Reads a service and its cluster, and sets the desired count if that was decided and allowed. */

import { Refused, Unavailable, messageOf } from '../core/errors.ts';
import type { ClusterCounts, FleetServices } from '../core/fleet/fleet-services.ts';
import type { Log } from '../core/log.ts';
import { retry, type Clock } from '../core/retry.ts';
import { decideSize, type SizeDecision, type SizeGoal } from './service-size.ts';

/** Less than the minute between two runs of the schedule: the next run has fresher facts. */
export const patienceMs = 45_000;

export interface SizeRequest extends SizeGoal {
  cluster: string;
  service: string;
  /** Without it, nothing is changed. */
  apply: boolean;
}

export interface SizeReport {
  cluster: string;
  service: string;
  action: 'resized' | 'would-resize' | 'kept' | 'waited';
  reason: string;
  /** The count before and after. The same if nothing was to change. */
  desired: number;
  wanted: number;
  running: number;
  instances: ClusterCounts;
}

export interface SizeTools {
  services: FleetServices;
  clock: Clock;
  log: Log;
}

/** Throws Refused if a person has to decide, Unavailable if AWS did not answer in time. */
export async function sizeService(order: SizeRequest, tools: SizeTools, signal: AbortSignal): Promise<SizeReport> {
  const { clock, log } = tools;
  const onRetry = (error: unknown, pauseMs: number) =>
    log.warn('asking AWS again', { error: messageOf(error), pauseMs: Math.round(pauseMs) });
  // All calls again, not only the failed one: a decision must not rest on answers of different
  // ages.
  return retry((callSignal) => sizeOnce(order, tools, callSignal), { clock, signal, withinMs: patienceMs, onRetry });
}

/**
 * Sizes one service after the other. One that fails does not keep the others from their size: the
 * error names all that failed, after `onReport` got the reports of the others.
 */
export async function sizeServices(
  orders: readonly SizeRequest[],
  tools: SizeTools,
  onReport: (report: SizeReport) => void,
  signal: AbortSignal,
): Promise<void> {
  const failures: Error[] = [];
  for (const order of orders) {
    try {
      onReport(await sizeService(order, tools, signal));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Refused || error instanceof Unavailable)) throw error;
      failures.push(error);
    }
  }
  const [first] = failures;
  if (first === undefined) return;
  if (failures.length === 1) throw first;
  const message = failures.map(messageOf).join('; ');
  // A refusal decides: it lasts until a person acts.
  if (failures.some((error) => error instanceof Refused)) throw new Refused(message, { cause: first, code: 'NotOurs' });
  throw new Unavailable(message, { cause: first });
}

async function sizeOnce(order: SizeRequest, { services, log }: SizeTools, signal: AbortSignal): Promise<SizeReport> {
  const { cluster, service: name, apply } = order;
  const counts = await services.countInstances(cluster, signal);
  const target = await services.readScalingTarget(cluster, name, signal);
  // Last: a deployment may begin between this read and the change.
  const service = await services.readService(cluster, name, signal);
  const decision = decideSize(order, { counts, service, target });
  log.debug('decided', { ...decision });
  if (decision.kind === 'refuse' || service === undefined) {
    throw new Refused(`service ${name} of cluster ${cluster}: ${decision.reason}`, { code: 'NotOurs' });
  }
  const { desired, running } = service;
  const facts = { cluster, service: name, reason: decision.reason, desired, running, instances: counts };
  if (decision.kind !== 'resize') return { ...facts, action: actionOf(decision), wanted: desired };
  if (!apply) return { ...facts, action: 'would-resize', wanted: decision.to };
  const wanted = await services.setDesiredCount(cluster, name, decision.to, signal);
  log.info('resized', { cluster, service: name, from: desired, to: wanted, reason: decision.reason });
  return { ...facts, action: 'resized', wanted };
}

function actionOf({ kind }: SizeDecision): 'kept' | 'waited' {
  return kind === 'wait' ? 'waited' : 'kept';
}
