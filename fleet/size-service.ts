/**
 * Reads what there is to know of a service and its cluster, and sets the desired count where that
 * was decided and allowed.
 */

import { Refused, messageOf } from '../core/errors.ts';
import type { ClusterCounts, FleetServices } from '../core/fleet-services.ts';
import type { Log } from '../core/log.ts';
import { retry, type Clock } from '../core/retry.ts';
import { decideSize, type SizeDecision, type SizeGoal } from './service-size.ts';

/** Less than the minute between two runs of the schedule: the next one comes with fresher facts. */
export const patienceMs = 45_000;

export interface SizeRequest extends SizeGoal {
  cluster: string;
  service: string;
  /** Otherwise nothing is changed. */
  apply: boolean;
}

export interface SizeReport {
  cluster: string;
  service: string;
  action: 'resized' | 'would-resize' | 'kept' | 'waited';
  reason: string;
  /** Before, and after: the same where nothing was to change. */
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

/** Throws Refused where a person has to decide, Unavailable where AWS did not answer in time. */
export async function sizeService(order: SizeRequest, tools: SizeTools, signal: AbortSignal): Promise<SizeReport> {
  const { clock, log } = tools;
  const onRetry = (error: unknown, pauseMs: number) =>
    log.warn('asking AWS again', { error: messageOf(error), pauseMs: Math.round(pauseMs) });
  // All of it, not call by call: a decision must not rest on answers of different ages.
  return retry((callSignal) => sizeOnce(order, tools, callSignal), { clock, signal, withinMs: patienceMs, onRetry });
}

async function sizeOnce(order: SizeRequest, { services, log }: SizeTools, signal: AbortSignal): Promise<SizeReport> {
  const { cluster, service: name, apply } = order;
  const counts = await services.countInstances(cluster, signal);
  const target = await services.readScalingTarget(cluster, name, signal);
  // Last of all: between this look and the deed a deployment may begin, so little time should pass.
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
