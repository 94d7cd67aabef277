/** Keeps exactly one task of each configured task definition running on this node. */

import type { Config } from '../config/config.ts';
import { Unavailable, messageOf } from '../core/errors.ts';
import type { Host, LocalTask } from '../core/host.ts';
import type { Chore } from './chore.ts';
import { doRound, type DaemonTasksRound } from './daemon-tasks-round.ts';
import { readDaemonTasks } from './daemon-tasks-memory.ts';

/** Some calls for each of twenty families, while AWS is slow. */
const deadlineMs = 120_000;

/**
 * The last calls to ECS, and the local tasks at that time. The agent on this node is read far more
 * often, since that costs no call to AWS.
 */
interface LastRound {
  at: number;
  about: string;
  /** The result is good enough for this long, while the local tasks stay the same. */
  restMs: number;
  /** Number of consecutive rounds that were incomplete. */
  incompleteRounds: number;
  error?: Error;
}

export function keepDaemonTasks({ daemonTasks }: Config): Chore {
  const { definitions: names = [], everySeconds, revisionSeconds } = daemonTasks;
  let last: LastRound | undefined;
  const olderLasts: DaemonTasksRound['olderLasts'] = new Map();
  return {
    name: 'daemon-tasks',
    everyMs: everySeconds * 1000,
    deadlineMs,
    afterJoin: true,
    async run(host, signal) {
      const containerInstance = await readOwnContainerInstance(host, signal);
      const local = await readLocal(host, signal);
      const about = local.map(({ arn, desiredStatus, knownStatus }) => [arn, desiredStatus, knownStatus]).join();
      const at = host.clock.uptime();
      const same = last?.about === about ? last : undefined;
      if (same !== undefined && at - same.at < same.restMs) {
        if (same.error !== undefined) throw same.error;
        return 'unchanged';
      }
      const unsettled = (same?.incompleteRounds ?? -1) + 1;
      // Incomplete rounds are repeated less and less often: a thousand nodes may have the same
      // trouble.
      const restMs = unsettled === 0 ? 0 : Math.min(revisionSeconds, everySeconds * 2 ** (unsettled - 1)) * 1000;
      last = { at, about, restMs, incompleteRounds: unsettled };
      const { actions, complete, error } = await tryRound(host, signal, async () => {
        const before = await readDaemonTasks(host);
        return doRound({ host, containerInstance, names, local, before, olderLasts }, signal);
      });
      if (complete) last = { at, about, restMs: revisionSeconds * 1000, incompleteRounds: -1 };
      else if (actions > 0) last = undefined;
      else if (error !== undefined) last.error = error;
      if (error !== undefined) throw error;
      return actions > 0 ? 'changed' : 'unchanged';
    },
  };
}

/** A failure outside of the calls, for example of the disk, also fails the rounds that rest. */
async function tryRound(
  { log }: Host,
  signal: AbortSignal,
  round: () => ReturnType<typeof doRound>,
): ReturnType<typeof doRound> {
  try {
    return await round();
  } catch (error) {
    signal.throwIfAborted();
    log.debug('daemon tasks not kept', { error: messageOf(error) });
    return { actions: 0, complete: false, error: error instanceof Error ? error : new Error(messageOf(error)) };
  }
}

async function readOwnContainerInstance(
  host: Host,
  signal: AbortSignal,
): Promise<DaemonTasksRound['containerInstance']> {
  const agent = await host.ecsAgent.readAgent(signal);
  if (agent?.containerInstanceArn === undefined) throw new Unavailable('the ECS agent on this node does not answer');
  return { cluster: agent.cluster, arn: agent.containerInstanceArn };
}

async function readLocal(host: Host, signal: AbortSignal): Promise<LocalTask[]> {
  const tasks = await host.ecsAgent.readTasks(signal);
  if (tasks === undefined) throw new Unavailable('the ECS agent on this node does not answer');
  // The unnamed one may be the daemon task itself. A second one would be started beside it.
  if (tasks.some(({ arn }) => arn === ''))
    throw new Unavailable('the ECS agent on this node does not name all of its tasks');
  return tasks.filter(({ knownStatus }) => knownStatus !== 'STOPPED').toSorted((a, b) => (a.arn < b.arn ? -1 : 1));
}
