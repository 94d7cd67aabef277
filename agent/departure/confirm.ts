/**
 * The two sources that each departure needs before the node does anything that cannot be undone,
 * and before it ends its machine. One source may be stale, empty, forged or wrong for a few
 * seconds; two independent ones are not at the same time. This is the only file that makes a
 * `Confirmed` value (docs/decisions/0014).
 */

import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import type { Confirmed } from '../../core/confirmed.ts';
import type { Host, Membership, ScheduledEvent } from '../../core/host.ts';
import type { Cause, DepartureState } from '../../core/state/state.ts';
import { groupTag, readGroupTag } from '../../upkeep/group-tag.ts';
import { callOnce } from '../calls.ts';
import { readRequest } from './request.ts';
import { findHolder } from '../held.ts';
import type { Departure } from './departure.ts';
import { tryToDrain } from './drain.ts';
import { irrevocableOf } from './order.ts';

/**
 * What the second source says. `undefined`: it did not answer, or may not be asked, which is no
 * reason to end anything.
 */
interface Answer {
  agrees: boolean | undefined;
  words: string;
}

interface Sources {
  /** What was seen first, and by whom. */
  first: string;
  /** Who is asked, independently of that. */
  second: string;
  ask(departure: Departure, signal: AbortSignal): Promise<Answer>;
}

const sources: Record<Cause, Sources> = {
  spot: {
    first: "the metadata service's interruption notice, listed for some seconds",
    second: "EC2's spot request of this instance; near its end, the notice itself, which is still listed",
    ask: askSpotRequest,
  },
  'scale-in': {
    first: "the metadata service's target state",
    second: "Auto Scaling: this instance's state in its group, or an active action of the terminate hook",
    ask: askGroup,
  },
  maintenance: {
    first: "the metadata service's list of events",
    second: "EC2: the same event in this instance's status",
    ask: askInstanceStatus,
  },
  disk: {
    first: 'the disk, measured again and again, and once more after unused images were removed',
    second: "ECS: this node has its place in the cluster's queue of nodes that leave for their disks",
    ask: (departure, signal) => askQueue(departure, 'disk', signal),
  },
  'ecs-agent': {
    first:
      'the ECS agent on this machine, silent or disconnected for `ecsAgent.patienceSeconds` and after each restart',
    second: 'ECS: this instance has no record, or one that is not connected',
    ask: askConnection,
  },
  docker: {
    first:
      "Docker's own health question on this machine, without an answer for `docker.patienceSeconds` and after each restart",
    second: 'ECS: the agent on this node says, too, that its container runtime is IMPAIRED',
    ask: askRuntimeHealth,
  },
  'join-failed': {
    first: 'this node, which was not in service within `join.timeoutSeconds`',
    second: 'ECS: no connected record; or Auto Scaling: the group still launches this instance',
    ask: askWhetherInService,
  },
  'bootstrap-failed': {
    first: 'this node, whose bootstrap AWS or the registrar refused for good',
    second: 'Auto Scaling: the group still launches this instance; or ECS: no connected record',
    ask: askWhetherInService,
  },
  operator: {
    first: 'a person with root on this machine, who called `ecs-node leave`',
    second: 'the request of that person, which is still there: nobody has called `ecs-node stay` or removed it',
    ask: askOperator,
  },
  rebalance: {
    first: "the metadata service's recommendation",
    second: 'nobody: a recommendation is followed by DRAINING alone, which is undone, and never ends a machine',
    ask: async () => ({ agrees: undefined, words: 'a recommendation ends nobody' }),
  },
};

/** The cause was taken back, or the second source denies it: the departure must be undone. */
export class TakenBack extends Refused {}

/**
 * Whether deeds that ACTIVE does not undo wait for a second source. A departure of 0.1.0 is asked
 * about, too.
 */
export function needsConfirmation({ ending, cause, confirmedAt }: DepartureState): boolean {
  return confirmedAt === undefined && !(ending === 'remain' && cause !== 'operator');
}

/** The group begins within seconds, and a spot notice leaves two minutes. */
const everyMs = 2_000;

/** A disagreement, or silence, that lasts costs a call less and less often. */
const longestMs = 30_000;

/**
 * A group that has decided says so within this time. Later the node must be DRAINING, whatever its
 * load balancers need first.
 */
const drainAfterMs = 15_000;

/**
 * A denial counts when it was heard so often in a row: one answer may come from a replica that is
 * behind.
 */
const denials = 3;

/**
 * Waits until the second source agrees. Whatever somebody else has decided is waited for as long as
 * it takes: the watcher that heard of it calls the departure off when it is over. Rejects with
 * TakenBack when the node's own reason is denied.
 */
export async function awaitConfirmation(departure: Departure, signal: AbortSignal): Promise<void> {
  const { clock, log } = departure.host;
  const began = clock.uptime();
  let denied = 0;
  for (let pauseMs = everyMs; needsConfirmation(departure.state);) {
    const { agrees, words } = await askSecond(departure, signal);
    if (agrees === true) return noteConfirmed(departure, words);
    denied = agrees === false ? denied + 1 : 0;
    if (departure.state.ending !== 'await' && denied >= denials) throw new TakenBack(words);
    const blocker = `confirmation: ${words}`;
    if (departure.state.blockers.join() !== blocker) {
      log.info('not confirmed', { cause: departure.state.cause, words });
      await departure.note({ blockers: [blocker] });
    }
    // ECS is not even started before the bootstrap is done.
    const isKnown = departure.state.cause !== 'bootstrap-failed';
    if (isKnown && clock.uptime() - began >= drainAfterMs) await tryToDrain(departure, signal);
    // Where the node's own time is short each second counts.
    const most = departure.state.cause === 'spot' ? everyMs : longestMs;
    await clock.sleep(pauseMs, signal);
    if (clock.uptime() - began > 60_000) pauseMs = Math.min(pauseMs * 2, most);
  }
}

async function noteConfirmed(departure: Departure, words: string): Promise<void> {
  const { clock, log } = departure.host;
  log.info('confirmed', { cause: departure.state.cause, words });
  await departure.note({ confirmedAt: clock.now(), confirmedBy: words, blockers: [] });
}

/**
 * Asks once more, right before the machine is ended and however long ago the first answer was.
 * Undefined: not now, ask again. Rejects with TakenBack when the cause is denied again and again,
 * unless the end was asked for already.
 */
export type ConfirmEnd = (signal: AbortSignal) => Promise<Confirmed | undefined>;

export function openConfirmation(departure: Departure): ConfirmEnd {
  let denied = 0;
  return async (signal) => {
    const { cause } = departure.state;
    const { agrees, words } = await askSecond(departure, signal);
    if (agrees === true) return { cause, first: sources[cause].first, second: words } as unknown as Confirmed;
    departure.host.log.warn('not ended without a second source', { cause, words });
    denied = agrees === false ? denied + 1 : 0;
    const isAsked = irrevocableOf(departure.state).askedToEndAt !== undefined;
    if (denied >= denials && !isAsked) throw new TakenBack(words);
    return undefined;
  };
}

/**
 * Whether the second source still stands by a departure that it has confirmed. Throws when it does
 * not answer.
 */
export async function stillAgrees(host: Host, state: DepartureState, signal: AbortSignal): Promise<boolean> {
  // Only the group says without the metadata's help that it goes on.
  const look = (callSignal: AbortSignal) => host.cloud.readMembership(callSignal);
  const membership = await callOnce(host, signal, look).catch(unlessRefused);
  if (membership !== undefined && isLeavingGroup(membership)) return true;
  if (state.cause !== 'spot') return false;
  const status = await callOnce(host, signal, (callSignal) => host.cloud.readSpotStatus(callSignal)).catch(
    unlessRefused,
  );
  return status !== undefined && isReclaimed.test(status);
}

/**
 * Never throws, unless stopped. A node that a person holds leaves for nothing that it found out by
 * itself.
 */
async function askSecond(departure: Departure, signal: AbortSignal): Promise<Answer> {
  const { host, state } = departure;
  try {
    if (state.ending === 'terminate' && state.cause !== 'operator') {
      const holder = await findHolder(host, signal);
      if (holder !== undefined) return { agrees: false, words: holder };
    }
    return await sources[state.cause].ask(departure, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Refused || error instanceof Unavailable)) throw error;
    // The node's own reason falls where nobody may confirm it: a refusal ends no node.
    const isHopeless = error instanceof Refused && state.ending === 'terminate';
    return { agrees: isHopeless ? false : undefined, words: messageOf(error) };
  }
}

/** Metadata answers in milliseconds. */
const metadataMs = 2_000;

/** A notice that flips for seconds is not believed: two looks of the slowest sensible poll. */
const listedForMs = 10_000;

/**
 * The notice's last time, counted from the departure's deadline: StopTask and the 30 s that a
 * container has by default, and some seconds to leave the load balancers first. A role without
 * ec2:DescribeSpotInstanceRequests, or a silent EC2, must not keep the tasks from ending in order:
 * by then EC2 kills them anyway, and a notice that was listed all the time until its end nears was
 * never seen to be false.
 */
const lastMs = 50_000;

/**
 * `marked-for-termination`, `instance-terminated-no-capacity`, `instance-stopped-by-price` … are
 * EC2's words.
 */
const isReclaimed = /^(marked-for|instance-(terminated|stopped))/;

async function askSpotRequest(departure: Departure, signal: AbortSignal): Promise<Answer> {
  const { host } = departure;
  const notice = await callOnce(host, signal, (callSignal) => host.metadata.readSpotNotice(callSignal), metadataMs);
  if (notice === undefined) return { agrees: false, words: 'the notice is not listed any more' };
  const elapsedMs = departure.elapsedMs();
  const totalMs = elapsedMs + departure.leftMs();
  if (elapsedMs < Math.min(listedForMs, totalMs / 3)) {
    return { agrees: undefined, words: `the notice has been listed for ${Math.round(elapsedMs / 1000)} s only` };
  }
  const isLast = departure.leftMs() <= lastMs;
  const status = host.cloud.readSpotStatus.bind(host.cloud);
  try {
    const words =
      (await callOnce(host, signal, (callSignal) => status(callSignal), isLast ? metadataMs : undefined)) ?? 'absent';
    if (isReclaimed.test(words)) return { agrees: true, words: `EC2: ${words}` };
    if (!isLast) return { agrees: undefined, words: `EC2's spot request is ${words}` };
  } catch (error) {
    signal.throwIfAborted();
    if (!isLast) throw error;
  }
  return {
    agrees: true,
    words: `the notice is still listed, ${Math.round(departure.leftMs() / 1000)} s before the end`,
  };
}

/** A group that ends an instance, or takes it back into its warm pool, says so itself. */
export function isLeavingGroup({ lifecycleState }: Membership): boolean {
  return /^(Terminating|Terminated|Warmed:)/.test(lifecycleState);
}

async function askGroup(departure: Departure, signal: AbortSignal): Promise<Answer> {
  const { host } = departure;
  try {
    const membership = await callOnce(host, signal, (callSignal) => host.cloud.readMembership(callSignal));
    if (membership === undefined) return { agrees: false, words: 'Auto Scaling: this instance is in no group' };
    const words = `Auto Scaling: ${membership.lifecycleState}`;
    return { agrees: isLeavingGroup(membership), words };
  } catch (error) {
    // A role that may not ask for the state may be allowed to extend the hook, which has an action
    // only while the group waits.
    if (!(error instanceof Refused)) throw error;
    if (await isHookActive(departure, signal)) return { agrees: true, words: 'Auto Scaling: the terminate hook waits' };
    return { agrees: undefined, words: messageOf(error) };
  }
}

async function isHookActive({ host, config }: Departure, signal: AbortSignal): Promise<boolean> {
  const hook = config.autoScaling.terminateHook;
  const group = await findGroupName(host, signal);
  if (hook === undefined || group === undefined) return false;
  return callOnce(host, signal, (callSignal) => host.cloud.heartbeat(group, hook, callSignal));
}

/** The group's name as this instance's tags have it, for a role that may not ask Auto Scaling. */
export async function findGroupName(host: Host, signal: AbortSignal): Promise<string | undefined> {
  const shown = await readGroupTag(host, signal);
  return shown ?? (await callOnce(host, signal, (callSignal) => host.cloud.readOwnTags(callSignal)))[groupTag];
}

async function askInstanceStatus({ host, state }: Departure, signal: AbortSignal): Promise<Answer> {
  return confirmEvent(host, state.key, signal);
}

/**
 * The metadata service may leave the id out; then the code and the date stand for it
 * (host/metadata/imds-answers.ts).
 */
export function isSameEvent({ id, code }: ScheduledEvent, key = ''): boolean {
  return key === `maintenance:${id}` || key === `maintenance:${code}` || key.startsWith(`maintenance:${code} `);
}

/** Whether EC2's API lists the event that the metadata service has named. */
export async function confirmEvent(host: Host, key: string | undefined, signal: AbortSignal): Promise<Answer> {
  const events = await callOnce(host, signal, (callSignal) => host.cloud.readScheduledEvents(callSignal));
  const found = events.find((event) => isSameEvent(event, key));
  if (found !== undefined) return { agrees: true, words: `EC2: ${found.code}` };
  return { agrees: false, words: 'EC2 does not list this event' };
}

async function askQueue({ host, config }: Departure, reason: string, signal: AbortSignal): Promise<Answer> {
  const { cluster } = config;
  const record = await callOnce(host, signal, (callSignal) =>
    host.cloud.readContainerInstance(cluster, undefined, callSignal),
  );
  const isQueued = record?.queuedFor.includes(reason) === true;
  return { agrees: isQueued, words: `ECS: ${isQueued ? 'queued to leave' : 'not in the queue to leave'}` };
}

async function askConnection({ host, config }: Departure, signal: AbortSignal): Promise<Answer> {
  const { cluster } = config;
  const record = await callOnce(host, signal, (callSignal) =>
    host.cloud.readContainerInstance(cluster, undefined, callSignal),
  );
  if (record?.agentConnected === true) return { agrees: false, words: 'ECS: the agent is connected' };
  return { agrees: true, words: `ECS: ${record === undefined ? 'no record of this instance' : 'not connected'}` };
}

async function askRuntimeHealth({ host, config }: Departure, signal: AbortSignal): Promise<Answer> {
  const { cluster } = config;
  const record = await callOnce(host, signal, (callSignal) =>
    host.cloud.readContainerInstance(cluster, undefined, callSignal),
  );
  const health = record?.runtimeHealth ?? 'of unknown health';
  const words = `ECS: the container runtime is ${health}`;
  if (health === 'IMPAIRED') return { agrees: true, words };
  // Without word from its agent ECS can neither agree nor deny.
  return { agrees: health === 'OK' ? false : undefined, words };
}

/** Not through yet, or about to be fetched from its pool. */
export const isLaunching = /^(Pending|Warmed:(?!Terminat))/;

async function askWhetherInService(departure: Departure, signal: AbortSignal): Promise<Answer> {
  const { host } = departure;
  const membership = await callOnce(host, signal, (callSignal) => host.cloud.readMembership(callSignal)).catch(
    unlessRefused,
  );
  if (membership !== undefined && isLaunching.test(membership.lifecycleState))
    return { agrees: true, words: `Auto Scaling: ${membership.lifecycleState}` };
  try {
    return await askConnection(departure, signal);
  } catch (error) {
    // ECS says for sure that a cluster that does not exist has no record of this instance.
    if (error instanceof Refused && error.code === 'ClusterNotFoundException')
      return { agrees: true, words: `ECS: ${messageOf(error)}` };
    throw error;
  }
}

function unlessRefused(error: unknown): undefined {
  if (!(error instanceof Refused)) throw error;
  return undefined;
}

async function askOperator({ host, state }: Departure): Promise<Answer> {
  const request = await readRequest(host);
  const isWanted = request?.action === 'leave' && (state.key === undefined || request.id === state.key);
  return { agrees: isWanted, words: isWanted ? `the request of ${request.reason}` : 'the request is gone' };
}
