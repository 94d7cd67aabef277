/**
 * Reports why the node ends while it still can: journal, console, an instance tag, a metric, and
 * the operator's executables.
 */

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../core/errors.ts';
import type { Fields } from '../../core/log.ts';
import type { Host, Metric } from '../../core/host.ts';
import { phases, type DepartureState } from '../../core/state/state.ts';
import { callOnce } from '../calls.ts';
import { runHooks } from '../hooks.ts';
import type { Departure } from './departure.ts';

/**
 * The documentation allows 256 characters, but EC2 refused a value of 256, and the report was lost.
 */
const tagLength = 255;

/** The report is optional, so the departure waits no longer for it. */
const reportMs = 15_000;

/**
 * Runs once, before the call that terminates the machine or completes its hook. Failures of the
 * report do not throw.
 */
export async function reportDeparture(departure: Departure, signal: AbortSignal): Promise<void> {
  if (departure.state.farewellAt !== undefined) return;
  const { host, config } = departure;
  await departure.note({ farewellAt: host.clock.now() });
  const { state } = departure;
  const ms = state.hardDeadline === true ? Math.max(5_000, departure.leftMs()) : config.leave.hookSeconds * 4_000;
  await Promise.all([sendLastWords(host, config, state, signal), runHooks(host, config, 'left', state, ms, signal)]);
}

/** A bootstrap that failed without a departure calls this as well. */
export async function sendLastWords(
  host: Host,
  config: Config,
  state: DepartureState,
  signal: AbortSignal,
): Promise<void> {
  const text = renderLastWords(state);
  host.log.warn('last words', lastWordsFields(state));
  await host.machine.say(`ecs-node: last words: ${text}`);
  const tags = { 'ecs-node:left': text };
  await Promise.all([
    tryToReport(host, signal, (callSignal) => host.cloud.tagSelf(tags, callSignal)),
    config.metrics.enabled &&
      tryToReport(host, signal, (callSignal) =>
        host.cloud.publish(config.metrics.namespace, departureMetrics(config, state, host.clock.now()), callSignal),
      ),
  ]);
}

async function tryToReport(
  host: Host,
  signal: AbortSignal,
  report: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  try {
    await callOnce(host, signal, report, reportMs);
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('last words not sent', { error: messageOf(error) });
  }
}

export function renderLastWords(state: DepartureState): string {
  const { cause, reason, blockers } = state;
  const took = Object.entries(phaseSeconds(state))
    .filter(([, seconds]) => seconds > 0)
    .map(([phase, seconds]) => `${phase} ${seconds} s`);
  const stuck = blockers.length > 0 ? `; blocked by ${blockers.join(', ')}` : '';
  const text = `${cause}: ${reason}${took.length > 0 ? ` (${took.join(', ')})` : ''}${stuck}`;
  return cutAtWord(text, tagLength);
}

/** The fields of the log entry, without empty lists; the phases as `announce=10s tasks=2s`. */
export function lastWordsFields(state: DepartureState): Fields {
  const { cause, reason, blockers, troubles } = state;
  const phaseWords = Object.entries(phaseSeconds(state)).map(([phase, seconds]) => `${phase}=${seconds}s`);
  return {
    cause,
    reason,
    ...(blockers.length > 0 && { blockers }),
    ...(troubles.length > 0 && { troubles }),
    ...(phaseWords.length > 0 && { phases: phaseWords.join(' ') }),
  };
}

/** Cuts at the end of a word if one lies in the last quarter: half an ARN is useless. */
export function cutAtWord(text: string, length: number): string {
  if (text.length <= length) return text;
  const cut = text.slice(0, length - 1);
  const space = cut.search(/[\s,;]+\S*$/);
  return `${space >= length * 0.75 ? cut.slice(0, space) : withoutHalf(cut)}…`;
}

/** Removes half of a surrogate pair, which is no character. */
function withoutHalf(text: string): string {
  return text.replace(/[\uD800-\uDBFF]$/, '');
}

/** The duration of each finished phase, in whole seconds. */
export function phaseSeconds({ entered }: Pick<DepartureState, 'entered'>): Record<string, number> {
  const seen = phases.filter((phase) => entered[phase] !== undefined);
  return Object.fromEntries(
    seen.slice(0, -1).map((phase, index) => {
      const next = entered[seen[index + 1] ?? phase] ?? 0;
      return [phase, Math.max(0, Math.round((next - (entered[phase] ?? 0)) / 1000))];
    }),
  );
}

/**
 * Metrics by cluster, not by instance: a metric for each dead node costs money and is never read.
 */
export function departureMetrics(config: Config, state: DepartureState, now: number): Metric[] {
  const ClusterName = config.cluster;
  const seconds = Math.max(0, (now - state.startedAt) / 1000);
  const cause = { ClusterName, Cause: state.cause };
  const drainMs = state.drainedAt === undefined ? [] : [Math.max(0, state.drainedAt - state.startedAt) / 1000];
  return [
    { name: 'Departures', value: 1, unit: 'Count', dimensions: { ClusterName }, at: now },
    { name: 'Departures', value: 1, unit: 'Count', dimensions: cause, at: now },
    { name: 'DepartureDuration', value: seconds, unit: 'Seconds', dimensions: cause, at: now },
    ...drainMs.map((value): Metric => ({
      name: 'NoticeToDraining',
      value,
      unit: 'Seconds',
      dimensions: cause,
      at: now,
    })),
    ...Object.entries(phaseSeconds(state)).map(([Phase, value]): Metric => {
      return { name: 'DeparturePhaseDuration', value, unit: 'Seconds', dimensions: { ClusterName, Phase }, at: now };
    }),
  ];
}
