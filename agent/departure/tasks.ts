/** Waits until every task on this node has really stopped, and does what is configured when that takes too long. */

import { Refused, messageOf } from '../../core/errors.ts';
import { ask, askOnce } from '../asking.ts';
import { findPlace, type Place } from '../container-instance.ts';
import type { Departure } from './departure.ts';
import { drain } from './drain.ts';

/** The agent answers from memory, so a drained node is noticed within two seconds. */
const localEveryMs = 2_000;

/** ECS is asked when the agent sees nothing any more, and now and then to name what blocks. */
const cloudEveryMs = 15_000;

/** A container has 30 s between SIGTERM and SIGKILL unless its task says otherwise. */
const stopGraceMs = 30_000;

/** The longest stopTimeout that a task may have is 120 s; then the agent has to say so. */
const longestStopMs = 150_000;

/** What is in the way; `sure` when both the agent and ECS have looked, as far as they can. */
interface Sight {
  blockers: string[];
  taskArns: string[];
  sure: boolean;
}

export async function waitForTasks(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, config, state } = departure;
  const place = await findPlace(host, config, Math.min(30_000, Math.max(departure.leftMs(), 5_000)), signal);
  if (place === undefined) return;
  const look = openSight(departure, place);
  const patienceMs =
    config.leave.drainSeconds * 1000 - Math.max(0, host.clock.now() - (state.entered.tasks ?? host.clock.now()));
  const stopMs = state.hardDeadline === true ? departure.leftMs() - stopGraceMs : departure.leftMs();
  const rest = await waitUntilGone(departure, look, Math.min(patienceMs, stopMs), signal);
  if (rest.length === 0) return;
  if (config.leave.atDeadline === 'stop-tasks') {
    await departure.trouble('tasks stopped at the deadline', renderBlockers(departure.state.blockers));
    await stopTasks(departure, place, rest, signal);
    const graceMs = state.hardDeadline === true ? departure.leftMs() : longestStopMs;
    if ((await waitUntilGone(departure, look, graceMs, signal)).length === 0) return;
  }
  await departure.trouble('tasks left to the end of the instance', renderBlockers(departure.state.blockers));
}

function renderBlockers(blockers: readonly string[]): string {
  return blockers.slice(0, 10).join(', ') || 'unknown';
}

/** ARNs of what is still there when the time is up; empty when all is gone. */
async function waitUntilGone(
  departure: Departure,
  look: (signal: AbortSignal) => Promise<Sight>,
  withinMs: number,
  signal: AbortSignal,
): Promise<string[]> {
  const { clock, log } = departure.host;
  const end = clock.uptime() + Math.max(0, withinMs);
  for (;;) {
    await drainAgain(departure, signal);
    const { blockers, taskArns, sure } = await look(signal);
    if (blockers.join() !== departure.state.blockers.join()) {
      await departure.note({ blockers });
      log.info('waiting for tasks', { count: blockers.length, blockers: blockers.slice(0, 10) });
    }
    if (sure && blockers.length === 0) return [];
    // Not knowing whether tasks are there is waited for as if they were.
    if (clock.uptime() >= end) return taskArns.length > 0 ? taskArns : ['unknown'];
    await clock.sleep(Math.min(localEveryMs, end - clock.uptime()), signal);
  }
}

/** AWS did not answer when it was time to: as long as it does not, tasks go on arriving. */
async function drainAgain(departure: Departure, signal: AbortSignal): Promise<void> {
  if (departure.state.drainedAt !== undefined) return;
  try {
    await drain(departure, signal, 10_000);
  } catch (error) {
    signal.throwIfAborted();
    departure.host.log.warn('not DRAINING yet', { error: messageOf(error) });
  }
}

function openSight({ host }: Departure, place: Place): (signal: AbortSignal) => Promise<Sight> {
  let asked: { at: number; tasks: { arn: string; name: string }[] | 'unknown' | 'refused' } | undefined;
  const askCloud = async (signal: AbortSignal) => {
    try {
      const tasks = await askOnce(host, signal, (inner) => host.cloud.readTasks(place.cluster, place.arn, inner));
      return tasks.map(({ arn, group, lastStatus }) => ({ arn, name: `${group} ${shortArn(arn)} ${lastStatus}` }));
    } catch (error) {
      signal.throwIfAborted();
      if (asked?.tasks !== 'refused') host.log.warn('tasks not seen in ECS', { error: messageOf(error) });
      return error instanceof Refused ? 'refused' : 'unknown';
    }
  };
  return async (signal) => {
    const local = await readLocalTasks(host, signal);
    const now = host.clock.uptime();
    if (asked === undefined || local === undefined || local.length === 0 || now - asked.at >= cloudEveryMs) {
      if (asked === undefined || now - asked.at >= localEveryMs * 0.9)
        asked = { at: now, tasks: await askCloud(signal) };
    }
    const cloud = asked?.tasks ?? 'unknown';
    const seen = new Map([...(local ?? []), ...(Array.isArray(cloud) ? cloud : [])].map((task) => [task.arn, task]));
    // A node whose role may not list tasks has only its agent's word; one whose agent is dead only ECS's.
    const sure = cloud === 'unknown' ? false : cloud === 'refused' ? local !== undefined : true;
    const tasks = [...seen.values()].toSorted((a, b) => (a.arn < b.arn ? -1 : 1));
    return { blockers: tasks.map(({ name }) => name), taskArns: tasks.map(({ arn }) => arn), sure };
  };
}

async function readLocalTasks(
  host: Departure['host'],
  signal: AbortSignal,
): Promise<{ arn: string; name: string }[] | undefined> {
  try {
    const tasks = await askOnce(host, signal, (inner) => host.ecsAgent.readTasks(inner), 3_000);
    return tasks
      ?.filter(({ knownStatus }) => knownStatus !== 'STOPPED')
      .map(({ arn, family, knownStatus }) => ({ arn, name: `family:${family} ${shortArn(arn)} ${knownStatus}` }));
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function shortArn(arn: string): string {
  return arn.split('/').at(-1) ?? arn;
}

async function stopTasks(
  departure: Departure,
  place: Place,
  arns: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { host, state } = departure;
  const reason = `ecs-node: ${state.cause}: the node leaves and its time is up`;
  const known = arns.filter((arn) => arn !== 'unknown');
  await Promise.all(
    known.map(async (arn) => {
      try {
        const ms = Math.min(20_000, Math.max(departure.leftMs(), 5_000));
        await ask(host, ms, signal, (inner) => host.cloud.stopTask(place.cluster, arn, reason, inner));
        host.log.warn('task stopped', { task: arn });
      } catch (error) {
        signal.throwIfAborted();
        await departure.trouble(`stopping ${shortArn(arn)}`, error);
      }
    }),
  );
}
