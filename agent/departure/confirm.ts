/**
 * Each departure needs two sources before the node does anything that cannot be undone, and before
 * it terminates its machine. One source may be stale, empty, forged or wrong for a few seconds; two
 * independent sources are not at the same time. This is the only file that makes a `Confirmed`
 * value (docs/decisions/0014).
 */

import { Refused, Unavailable, messageOf, unlessRefused, unlessUnavailable } from '../../core/errors.ts';
import type { Confirmed } from '../../core/confirmed.ts';
import type { Config } from '../../config/config.ts';
import type { ContainerInstance, Host, Membership } from '../../core/host.ts';
import { longestGapMs, openLasting, singleErrorMs } from '../../core/lasting.ts';
import type { Cause, DepartureState } from '../../core/state/state.ts';
import { findGroupTag, readMembership } from '../../upkeep/group-tag.ts';
import { callOnce } from '../calls.ts';
import { readLocalAgent } from '../container-instance.ts';
import { readOutage } from '../leave-queue/dead-records.ts';
import { readRequest } from '../request.ts';
import { findHolder, heldBy } from '../held.ts';
import { isLaunching, isLeavingGroup } from '../lifecycle-states.ts';
import type { Order } from '../watching/watcher.ts';
import { confirmEvent } from '../maintenance-event.ts';
import { findOtherCluster, isFirstBoot } from '../joining/first-boot.ts';
import { openDeparture, type Departure } from './departure.ts';
import { isDiskFull, pingDocker } from '../own-reasons.ts';
import { tryToDrain } from './drain.ts';
import { beginState, hasBalancers, irrevocableOf, onlyDrains } from './order.ts';
import type { Answer } from './second-source/answer.ts';
import {
  askSpotRequest,
  isNoticeListed,
  isReclaimed,
  isTakenByEc2,
  metadataMs,
  readSpotStatus,
} from './second-source/spot-request.ts';

interface Sources {
  /** The first source and its observation. */
  first: string;
  /** The second source, which is independent of the first. */
  second: string;
  ask(departure: Departure, signal: AbortSignal, readGroup: ReadGroup): Promise<Answer>;
}

/** One call for each question, however many parts of it need the answer. */
type ReadGroup = (signal: AbortSignal) => Promise<Membership | undefined>;

const sources: Record<Cause, Sources> = {
  spot: {
    first: "the metadata service's interruption notice, listed for some seconds",
    second:
      "EC2's spot request of this instance; near the end, and only if EC2 does not answer, the notice itself, which is still listed",
    ask: askSpotRequest,
  },
  'scale-in': {
    first: "the metadata service's target state",
    second: "Auto Scaling: this instance's state in its group, or an active action of the terminate hook",
    ask: askGroup,
  },
  maintenance: {
    first: "the metadata service's list of events",
    second: "EC2: the same event in this instance's status, due by EC2's clock",
    ask: ({ host, config, state }, signal) => confirmEvent(host, config, state.key, signal),
  },
  disk: {
    first: 'the disk, measured again and again, and once more after unused images were removed',
    second: "ECS: this node is in the cluster's queue of nodes that leave for their disks",
    ask: askQueue,
  },
  'ecs-agent': {
    first:
      'the ECS agent on this machine, silent or disconnected for `ecsAgent.patienceSeconds` and after each restart',
    second: 'ECS: this instance has no record, or one that is not connected',
    ask: askEcsAgent,
  },
  docker: {
    first:
      "Docker's own health check on this machine, without an answer for `docker.patienceSeconds` and after each restart",
    second: 'ECS: the agent on this node also reports that its container runtime is IMPAIRED',
    ask: askRuntimeHealth,
  },
  'join-failed': {
    first: 'this node, which was not in service within `join.timeoutSeconds`',
    second: 'ECS: no connected record; or, with `join.checks`, Auto Scaling: the group still launches this instance',
    ask: askWhetherInService,
  },
  'bootstrap-failed': {
    first: 'this node, whose bootstrap AWS or the registrar refused for good',
    second: 'Auto Scaling: the group still launches this instance; or ECS: no record',
    ask: askWhetherInService,
  },
  operator: {
    first: 'a person with root on this machine, who called `ecs-node leave`',
    second: 'the request of that person, which is still there: not removed, and not withdrawn with `ecs-node stay`',
    ask: askOperator,
  },
  rebalance: {
    first: "the metadata service's recommendation",
    second: 'none: the node answers a recommendation only with DRAINING, which can be undone, and never terminates',
    ask: async () => ({ agrees: undefined, words: 'a recommendation terminates no node' }),
  },
};

/** The cause was withdrawn, or the second source denies it: the departure must be undone. */
export class TakenBack extends Refused {}

/**
 * Whether actions that ACTIVE does not undo must wait for a second source. This includes a
 * departure that version 0.1.0 began.
 */
export function needsConfirmation(state: Pick<DepartureState, 'ending' | 'cause' | 'confirmedAt'>): boolean {
  return state.confirmedAt === undefined && !onlyDrains(state);
}

/** Short, because the group begins within seconds and a spot notice leaves two minutes. */
const everyMs = 2_000;

/** The longest interval, so that lasting denial or silence costs fewer calls. */
const longestMs = 30_000;

/**
 * A group that has decided confirms it within this time. After that, the node must be DRAINING,
 * whatever its load balancers need first.
 */
const drainAfterMs = 15_000;

/** A denial counts after this many in a row: one answer may come from a replica that is behind. */
const denials = 3;

/** ECS agents connect anew several times an hour, and ECS says "not connected" meanwhile. */
const notConnectedMs = 10_000;

/** A list of ECS may lack a record, or a cluster, for a moment. */
const noRecordMs = 30_000;

/** After a reboot, the node may have been in service, and one source may be wrong for a minute. */
const rebootedMs = singleErrorMs;

/**
 * A source that is stale or wrong for minutes must not decide alone. Auto Scaling and EC2 follow
 * the metadata service within seconds, and a busy group within minutes.
 */
export const disputedMs = 900_000;

/**
 * Waits until the second source agrees. For a decision from outside the node, it waits without
 * limit: the watcher of that event calls the departure off when the event is over. Rejects with
 * TakenBack when the node's own reason is denied, or when a decision from outside is denied for
 * `disputedMs` and not announced again: the watcher of a silent metadata service calls nothing off.
 */
export async function awaitConfirmation(departure: Departure, signal: AbortSignal): Promise<void> {
  const { clock, log } = departure.host;
  const began = clock.uptime();
  // Two lost answers in a row take more than the usual gap.
  const lasts = openLasting(clock, disputedMs, 2 * longestGapMs);
  const lastsAgreed = openLasting(clock, 0);
  let denied = 0;
  for (let pauseMs = everyMs; needsConfirmation(departure.state);) {
    const { agrees, words, deniesSpot, lastsMs, isVoid } = await askSecond(departure, signal);
    if (agrees !== undefined && lastsAgreed(agrees, lastsMs)) {
      log.info('confirmed', { cause: departure.state.cause, words });
      return departure.note({ confirmedAt: clock.now(), confirmedBy: words, blockers: [] });
    }
    if (deniesSpot && departure.state.spotDeniedAt === undefined)
      await departure.note({ spotDeniedAt: Math.round(clock.now()) });
    denied = agrees === false || deniesSpot ? denied + 1 : 0;
    // The time runs on with each denial. Lost answers may keep three from coming in a row for long.
    const isOver = departure.state.ending !== 'await' || (denied > 0 && lasts(!(await isAnnounced(departure, signal))));
    if (isVoid || (denied >= denials && isOver)) throw new TakenBack(words);
    const blocker = `confirmation: ${words}`;
    if (departure.state.blockers.join() !== blocker) {
      log.info('not confirmed', { cause: departure.state.cause, words });
      await departure.note({ blockers: [blocker] });
    }
    // ECS has not started before the bootstrap is done, so there is nothing to drain. A denied
    // reason of the node's own drains nothing either: the next denials take it back.
    // With load balancers it waits for them: requests would meet tasks that ECS stops.
    const { cause, ending } = departure.state;
    const isOwnAndFree = denied === 0 && !hasBalancers(departure);
    const drains = cause !== 'bootstrap-failed' && (ending === 'await' || isOwnAndFree);
    if (drains && clock.uptime() - began >= drainAfterMs) await tryToDrain(departure, signal);
    // A spot instance has little time, so its interval stays short until then.
    const most = departure.state.cause === 'spot' && departure.leftMs() > 0 ? everyMs : longestMs;
    await clock.sleep(pauseMs, signal);
    if (clock.uptime() - began > 60_000) pauseMs = Math.min(pauseMs * 2, most);
  }
}

/** Whether the metadata service announces the decision now. Its silence announces nothing. */
async function isAnnounced({ host, state }: Departure, signal: AbortSignal): Promise<boolean> {
  if (state.cause === 'spot') return (await isNoticeListed(host, signal).catch(unlessUnavailable)) === true;
  const read = (callSignal: AbortSignal) => host.metadata.readTargetState(callSignal);
  const target = await callOnce(host, signal, read, metadataMs).catch(unlessUnavailable);
  return target !== undefined && target !== 'InService';
}

/**
 * Asks the second source again where its answer is older than `ageMs`, before the node stops tasks
 * or leaves its registrar. The disk may be free by now, or a person may hold the node. Rejects with
 * TakenBack when the cause is denied several times in a row. The silence of the second source takes
 * nothing back.
 */
export async function mustStillStand(departure: Departure, signal: AbortSignal, ageMs = longestGapMs): Promise<void> {
  const { host, state } = departure;
  // The watcher of an event takes back what came from outside, and a person what a person wants. A
  // machine that comes back from its hibernation is still in its departure.
  const isHibernation = state.cause === 'spot' && state.returns === true;
  if ((state.ending !== 'terminate' && !isHibernation) || state.confirmedAt === undefined) return;
  if (host.clock.uptime() - (departure.askedAt ?? -Infinity) < ageMs) return;
  for (let denied = 1; ; denied++) {
    const { agrees, words } = await askSecond(departure, signal);
    if (agrees !== false) return;
    if (denied >= denials) {
      // The metadata service alone leaves the notice out while EC2 takes the instance.
      if (isHibernation && (await isTakenByEc2(host, signal))) return;
      throw new TakenBack(words);
    }
    await host.clock.sleep(everyMs, signal);
  }
}

/**
 * Asks the second source again, right before the machine is terminated and however recent its last
 * answer is. `membership` was read just before, and is not Terminating. Undefined: not now, ask
 * again. Rejects with TakenBack when the cause is denied several times in a row, unless a
 * termination that was requested may be under way.
 */
export type ConfirmEnd = (
  membership: Membership | undefined | 'refused',
  signal: AbortSignal,
) => Promise<Confirmed | undefined>;

export function openConfirmation(departure: Departure): ConfirmEnd {
  let denied = 0;
  return async (membership, signal) => {
    const { cause } = departure.state;
    const { agrees, words } = await askSecond(departure, signal);
    if (agrees === true)
      return { cause, first: sources[cause].first, second: words, askedAt: departure.askedAt } as unknown as Confirmed;
    departure.host.log.warn('not terminated without a second source', { cause, words });
    denied = agrees === false ? denied + 1 : 0;
    if (denied >= denials && (await isNotEnding(departure, membership, signal))) throw new TakenBack(words);
    return undefined;
  };
}

/** Auto Scaling replaces an unhealthy instance within minutes, where no hook delays that. */
const groupEndsMs = 600_000;

/**
 * The request is noted before the call. A process that ended in between, and a call that AWS
 * refused, would otherwise leave a node DRAINING for ever whose reason is gone.
 */
async function isNotEnding(
  { host, state }: Departure,
  membership: Membership | undefined | 'refused',
  signal: AbortSignal,
): Promise<boolean> {
  const { askedToEndAt } = irrevocableOf(state);
  if (askedToEndAt === undefined || typeof membership === 'object') return true;
  // EC2 still runs an instance that its group terminates, for as long as a hook waits.
  if (membership === 'refused' && Math.abs(host.clock.now() - askedToEndAt) < groupEndsMs) return false;
  const { instanceId } = host.identity;
  try {
    const running = await callOnce(host, signal, (callSignal) => host.cloud.readRunning([instanceId], callSignal));
    return running.includes(instanceId);
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/**
 * Whether the second source still confirms an order that it has confirmed. `isAlone`: no other
 * order stands. Throws when the source does not answer.
 */
export async function stillAgrees(
  host: Host,
  config: Config,
  order: Order,
  isAlone: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  if (order.cause === 'maintenance') {
    const answer = await confirmEvent(host, config, order.key, signal).catch(unlessRefused);
    return answer?.agrees === true;
  }
  if (order.cause === 'spot') {
    const status = await readSpotStatus(host, false, signal).catch(unlessRefused);
    if (status !== undefined && isReclaimed.test(status)) return true;
    // Where the node has an order for its scale-in as well, the group confirms that one.
    if (!isAlone) return false;
  }
  const look = (callSignal: AbortSignal) => readMembership(host, callSignal);
  const membership = await callOnce(host, signal, look).catch(asRefused);
  if (membership !== 'refused') return isLeavingGroup(membership, order);
  return order.cause === 'scale-in' && isHookActive(host, config, signal);
}

/** Asks the second source about an order before its departure begins. */
export async function askAgain(host: Host, config: Config, order: Order, signal: AbortSignal): Promise<Answer> {
  const state = beginState(order, config, host.identity.instanceId, '', host.clock.now());
  return askSecond(openDeparture(host, config, { deregister: async () => {} }, state, signal), signal);
}

/**
 * Never throws, unless stopped. A node that a person holds does not leave for a reason that it
 * found by itself.
 */
async function askSecond(departure: Departure, signal: AbortSignal): Promise<Answer> {
  const { host, state } = departure;
  departure.askedAt = host.clock.uptime();
  let group: Promise<Membership | undefined> | undefined;
  const readGroup: ReadGroup = (groupSignal) =>
    (group ??= callOnce(host, groupSignal, (callSignal) => readMembership(host, callSignal)));
  try {
    if (state.ending === 'terminate' && state.cause !== 'operator') {
      const holder = await findHolder(host, true, signal, readGroup);
      if (holder !== undefined) return { agrees: false, words: heldBy(holder) };
    }
    return await sources[state.cause].ask(departure, signal, readGroup);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Refused || error instanceof Unavailable)) throw error;
    // Without the permission to confirm it, the node's own reason counts as denied: a refusal
    // terminates no node.
    const isHopeless = error instanceof Refused && state.ending === 'terminate';
    return { agrees: isHopeless ? false : undefined, words: messageOf(error) };
  }
}

async function askGroup({ host, config, state }: Departure, signal: AbortSignal): Promise<Answer> {
  try {
    const membership = await callOnce(host, signal, (callSignal) => readMembership(host, callSignal));
    if (membership === undefined) return { agrees: false, words: 'Auto Scaling: this instance is in no group' };
    const words = `Auto Scaling: ${membership.lifecycleState}`;
    return { agrees: isLeavingGroup(membership, state), words };
  } catch (error) {
    // A role without the permission to read the state may still send heartbeats for the hook, which
    // has an action only while the group waits.
    if (!(error instanceof Refused)) throw error;
    if (await isHookActive(host, config, signal))
      return { agrees: true, words: 'Auto Scaling: the terminate hook waits' };
    return { agrees: undefined, words: messageOf(error) };
  }
}

async function isHookActive(host: Host, config: Config, signal: AbortSignal): Promise<boolean> {
  const hook = config.autoScaling.terminateHook;
  const group = await findGroupName(host, signal);
  if (hook === undefined || group === undefined) return false;
  return callOnce(host, signal, (callSignal) => host.cloud.heartbeat(group, hook, callSignal));
}

/** The group's name from this instance's tags, for a role that may not ask Auto Scaling. */
export async function findGroupName(host: Host, signal: AbortSignal): Promise<string | undefined> {
  return callOnce(host, signal, (callSignal) => findGroupTag(host, callSignal));
}

function readRecord(host: Host, { cluster }: Config, signal: AbortSignal) {
  return callOnce(host, signal, (callSignal) => host.cloud.readContainerInstance(cluster, undefined, callSignal));
}

async function askQueue(departure: Departure, signal: AbortSignal): Promise<Answer> {
  const { host, config } = departure;
  const isFreed = !hasEmptiedItself(departure) && !(await isDiskFull(host, config, signal));
  if (isFreed) return { agrees: false, words: 'the disk is no longer full' };
  const record = await readRecord(host, config, signal);
  const isQueued = record?.queuedFor.includes('disk') === true;
  return { agrees: isQueued, words: `ECS: ${isQueued ? 'queued to leave' : 'not in the queue to leave'}` };
}

/**
 * Its tasks have left, and may have taken the data that filled the disk with them. A node that
 * stayed would get tasks again, without the load balancers that it has left.
 */
function hasEmptiedItself(departure: Departure): boolean {
  const hasLeft = irrevocableOf(departure.state).leftBalancersAt !== undefined && hasBalancers(departure);
  return hasLeft && departure.isEmptied === true;
}

async function askEcsAgent(departure: Departure, signal: AbortSignal): Promise<Answer> {
  const { host, config } = departure;
  const other = await findOtherCluster(host, config.cluster, signal);
  if (other !== undefined) return { agrees: undefined, words: `the node has joined ${other}, not ${config.cluster}` };
  const answer = judgeConnection(await readRecord(host, config, signal));
  if (answer.agrees !== true) return answer;
  if (isStarting(departure, config.ecsAgent))
    return { agrees: undefined, words: `${answer.words}, and the machine has just booted` };
  // The ECS agent may run again, and ECS be silent towards all nodes. A dead one waits for nothing.
  const isNamed = (await readLocalAgent(host, signal))?.containerInstanceArn !== undefined;
  const outage = isNamed ? await readOutage(host, config, signal) : undefined;
  return outage === undefined ? answer : { agrees: undefined, words: outage };
}

/**
 * Right after a reboot, a service that does not answer may only be starting: ECS starts together
 * with this program, after the bootstrap. A departure that began in this boot has waited already.
 */
function isStarting({ host, state }: Departure, { patienceSeconds }: { patienceSeconds: number }): boolean {
  return host.clock.uptime() - (state.uptimes?.resumed ?? 0) < patienceSeconds * 1000;
}

function judgeConnection(record: ContainerInstance | undefined): Answer {
  if (record?.agentConnected === true) return { agrees: false, words: 'ECS: the agent is connected' };
  if (record === undefined) return { agrees: true, words: 'ECS: no record of this instance', lastsMs: noRecordMs };
  return { agrees: true, words: 'ECS: not connected', lastsMs: notConnectedMs };
}

async function askRuntimeHealth(departure: Departure, signal: AbortSignal): Promise<Answer> {
  const { host, config } = departure;
  if ((await pingDocker(host, signal)) === undefined) return { agrees: false, words: 'Docker answers' };
  if (isStarting(departure, config.docker)) return { agrees: undefined, words: 'the machine has just booted' };
  const record = await readRecord(host, config, signal);
  const health = record?.runtimeHealth ?? 'of unknown health';
  const words = `ECS: the container runtime is ${health}`;
  if (health === 'IMPAIRED') return { agrees: true, words };
  // Without a report from its agent, ECS can neither agree nor deny.
  return { agrees: health === 'OK' ? false : undefined, words };
}

async function askWhetherInService(departure: Departure, signal: AbortSignal, readGroup: ReadGroup): Promise<Answer> {
  const answer = await askGroupOrEcs(departure, signal, readGroup);
  if (answer.agrees !== true || (await isFirstBoot(departure.host))) return answer;
  return { ...answer, lastsMs: rebootedMs };
}

async function askGroupOrEcs(departure: Departure, signal: AbortSignal, readGroup: ReadGroup): Promise<Answer> {
  const { host } = departure;
  const membership = await readGroup(signal).catch(unlessRefused);
  const isJoining = departure.state.cause === 'join-failed';
  // Where the group still launches the node, that agrees with a missing record.
  const lastsMs = isLaunching(membership) ? 0 : noRecordMs;
  if (isLaunching(membership)) {
    const words = `Auto Scaling: ${membership.lifecycleState}`;
    // The ECS agent is silent in a warm pool, whether or not the metadata service shows the pool.
    // The time there counted against the node, which may leave the pool before the next answer.
    const isPooled = membership.lifecycleState.startsWith('Warmed:') && isJoining;
    if (isPooled) return { agrees: false, words, isVoid: true };
    // A node that is connected now joins after all, unless its own checks keep it from that.
    if (!isJoining || departure.config.join.checks.length > 0) return { agrees: true, words };
  }
  try {
    const record = await readRecord(host, departure.config, signal);
    // The ECS agent starts after the bootstrap, so no node that has just booted is connected. Only
    // one that was in service before has a record.
    if (!isJoining && record !== undefined)
      return { agrees: false, words: 'ECS: a record of this instance, which has been in service' };
    return record === undefined ? { ...judgeConnection(record), lastsMs } : judgeConnection(record);
  } catch (error) {
    // A cluster that does not exist certainly has no record of this instance.
    if (error instanceof Refused && error.code === 'ClusterNotFoundException')
      return { agrees: true, words: `ECS: ${messageOf(error)}`, lastsMs };
    throw error;
  }
}

function asRefused(error: unknown): 'refused' {
  if (!(error instanceof Refused)) throw error;
  return 'refused';
}

async function askOperator({ host, state }: Departure): Promise<Answer> {
  const request = await readRequest(host);
  const isWanted = request?.action === 'leave' && (state.key === undefined || request.id === state.key);
  const words = isWanted ? `the request is still there: "${request.reason}"` : 'the request is gone';
  return { agrees: isWanted, words };
}
