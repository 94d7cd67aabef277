/**
 * The only file that terminates the machine. Each method takes a `Confirmed` value, which
 * agent/departure/confirm.ts makes when a second source agrees. Not knowing never terminates: the
 * node asks until it knows.
 */

import type { Confirmed } from '../../core/confirmed.ts';
import { Refused, Unavailable, messageOf } from '../../core/errors.ts';
import type { Cloud, Host, Membership } from '../../core/host.ts';
import { longestGapMs } from '../../core/lasting.ts';
import { longestPauseAfter, retry } from '../../core/retry.ts';
import { callWithRetry, callOnce } from '../calls.ts';
import { readMembership } from '../../upkeep/group-tag.ts';
import { abandonLaunch } from '../joining/complete-hook.ts';
import { isHeldState, isTerminatedTarget, isTerminating } from '../lifecycle-states.ts';
import { disputedMs, openConfirmation, TakenBack, type ConfirmEnd } from './confirm.ts';
import { irrevocableOf } from './order.ts';
import type { Departure } from './departure.ts';
import { reportDeparture } from './report-departure.ts';
import { drainLateRegistration } from './late-registration.ts';

interface TerminationMethod {
  name: string;
  /** True when the machine will end. */
  run(confirmed: Confirmed, signal: AbortSignal): Promise<boolean>;
}

/**
 * A group may report for minutes that it is busy with another activity; a failing service recovers
 * within minutes.
 */
const groupMs = 300_000;
const callsMs = 120_000;

/** Auto Scaling replaces an unhealthy instance within minutes, unless the process is suspended. */
const replacedMs = 600_000;

/**
 * The pause between rounds when no method worked: a person has to fix a permission, and sees the
 * log.
 */
const roundMs = 60_000;

/** The pause before the second source is asked again. It grows in a long wait. */
const confirmAgainMs = 10_000;

/** The metadata service answers in milliseconds. */
const metadataMs = 2_000;

/**
 * While the metadata service names no target, and has named no other one, the group must say this
 * many times in a row that it terminates the node: one answer may be wrong.
 */
const loneAnswers = 3;

/**
 * Throws Refused when this state belongs to another machine, and TakenBack when the cause is denied
 * and no termination is under way.
 */
export async function terminate(departure: Departure, signal: AbortSignal): Promise<void> {
  const { host, state } = departure;
  const confirmEnd = openConfirmation(departure);
  const began = host.clock.uptime();
  const disputedUntil = began + disputedMs;
  let isContradicted = false;
  for (let lone = 0; ;) {
    await confirmIdentity(departure, disputedUntil, signal);
    const membership = await waitForMembership(departure, signal);
    if (isTerminating(membership)) {
      lone++;
      const agrees = await agreesWithGroup(departure, signal);
      isContradicted ||= agrees === false;
      const isBelieved = agrees ?? (!isContradicted && lone >= loneAnswers);
      if (isBelieved || host.clock.uptime() >= disputedUntil) return reportDeparture(departure, signal);
      await host.clock.sleep(confirmAgainMs, signal);
      continue;
    }
    lone = 0;
    // A person who requests the termination of a node in Standby no longer holds it.
    if (state.cause !== 'operator' && isHeld(membership))
      throw new TakenBack(`the node is ${membership.lifecycleState} in its group`);
    const confirmed = await confirmEnd(membership, signal);
    if (confirmed !== undefined) {
      await reportDeparture(departure, signal);
      if (await endMachine(departure, membership, confirmed, confirmEnd, signal)) return;
    }
    const againMs = longestPauseAfter(host.clock.uptime() - began, confirmAgainMs);
    await host.clock.sleep(confirmed === undefined ? againMs : roundMs, signal);
    await drainLateRegistration(departure, signal);
  }
}

/**
 * Each method may take minutes when AWS does not answer. The reason may have passed meanwhile, so
 * the second source is asked again before each further method.
 */
async function endMachine(
  departure: Departure,
  membership: Membership | undefined | 'refused',
  first: Confirmed,
  confirmEnd: ConfirmEnd,
  signal: AbortSignal,
): Promise<boolean> {
  departure.host.log.warn('ends this machine', { cause: first.cause, first: first.first, second: first.second });
  await clearProtection(departure, signal);
  const ask = (callSignal: AbortSignal) => confirmEnd(membership, callSignal);
  // The report, its hooks and the protection may have taken minutes.
  let confirmed = await ask(signal);
  if (confirmed === undefined) return false;
  await departure.noteDeed('askedToEndAt');
  for (const method of terminationMethods(departure, membership, ask)) {
    // The machine may have stood still while the request was written to disk.
    if (confirmed === undefined || isOld(departure, confirmed)) confirmed = await ask(signal);
    if (confirmed === undefined) return false;
    if (await tryMethod(departure, method, confirmed, signal)) return true;
    confirmed = undefined;
  }
  return false;
}

function isOld({ host }: Departure, { askedAt }: Confirmed): boolean {
  return host.clock.uptime() - askedAt > longestGapMs;
}

function isHeld(membership: Membership | undefined | 'refused'): membership is Membership {
  return typeof membership === 'object' && isHeldState(membership.lifecycleState);
}

/**
 * A disk that was moved or copied carries this state into another machine, which must not be
 * terminated. While the metadata service contradicts its own earlier answer, the node does not know
 * which machine it is, and asks again.
 */
async function confirmIdentity(departure: Departure, until: number, signal: AbortSignal): Promise<void> {
  const { host, state } = departure;
  for (;;) {
    const { instanceId } = await retryUntilAnswered(departure, 'identity', signal, (callSignal) =>
      host.metadata.readIdentity(callSignal),
    );
    if (instanceId === state.instanceId && instanceId === host.identity.instanceId) return;
    const why = `the departure belongs to ${state.instanceId}, but this machine is ${instanceId}: it stays`;
    if (state.instanceId !== host.identity.instanceId || host.clock.uptime() >= until) throw new Refused(why);
    await departure.trouble('not terminating', new Unavailable(why));
    await host.clock.sleep(confirmAgainMs, signal);
  }
}

/**
 * Auto Scaling says that the group terminates this node. True if the metadata service agrees, or if
 * the node has requested it; false if the target is another one: service, or a warm pool. A node
 * that believed one wrong answer would wait for an end that never comes.
 */
async function agreesWithGroup(departure: Departure, signal: AbortSignal): Promise<boolean | undefined> {
  return irrevocableOf(departure.state).askedToEndAt !== undefined || isTargetTerminated(departure, signal);
}

/** Undefined: the metadata service names no target. */
export async function isTargetTerminated({ host }: Departure, signal: AbortSignal): Promise<boolean | undefined> {
  const read = (callSignal: AbortSignal) => host.metadata.readTargetState(callSignal);
  const target = await callOnce(host, signal, read, metadataMs).catch(() => undefined);
  return target === undefined ? undefined : isTerminatedTarget(target);
}

/** `refused`: this role may not ask. Retries for as long as AWS does not answer. */
async function waitForMembership(
  departure: Departure,
  signal: AbortSignal,
): Promise<Membership | undefined | 'refused'> {
  const { host } = departure;
  return retryUntilAnswered(departure, 'membership', signal, async (callSignal) => {
    try {
      return await readMembership(host, callSignal);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      await departure.trouble('asking for the Auto Scaling group', error);
      return 'refused';
    }
  });
}

async function retryUntilAnswered<T>(
  departure: Departure,
  what: string,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return retry((callSignal) => callWithRetry(departure.host, callsMs, callSignal, call), {
    clock: departure.host.clock,
    signal,
    withinMs: Infinity,
    onRetry: (error) => departure.trouble(`not terminating without knowing the ${what}`, error),
  });
}

/**
 * The change may become visible late. While the protection is on, the group cannot terminate the
 * node.
 */
const protectionTries = 4;
const protectionMs = 3_000;

/**
 * Clears the protection and reads it back: OpsWorks may have turned it on again since the last
 * check.
 */
async function clearProtection({ host, config }: Departure, signal: AbortSignal): Promise<void> {
  if (config.terminationProtection === 'keep' || host.identity.purchase === 'spot') return;
  try {
    for (let tries = 1; ; tries++) {
      if (!(await callOnce(host, signal, (callSignal) => host.cloud.readTerminationProtection(callSignal)))) return;
      if (tries === protectionTries) throw new Unavailable('it does not stay off');
      await callOnce(host, signal, (callSignal) => host.cloud.clearTerminationProtection(callSignal));
      if (tries > 1) await host.clock.sleep(protectionMs, signal);
    }
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('termination protection not cleared', { error: messageOf(error) });
  }
}

type AskSecond = (signal: AbortSignal) => Promise<Confirmed | undefined>;

/** A group may be busy for minutes, so each further try rests on a new answer. */
async function retryConfirmed(
  host: Host,
  withinMs: number,
  first: Confirmed,
  ask: AskSecond,
  signal: AbortSignal,
  call: (confirmed: Confirmed, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  let answer: Confirmed | undefined = first;
  await callWithRetry(host, withinMs, signal, async (callSignal) => {
    const confirmed = answer ?? (await ask(callSignal));
    if (confirmed === undefined) throw new Refused('the second source does not agree any more');
    answer = undefined;
    await call(confirmed, callSignal);
  });
}

/** The termination methods, from the most orderly to the last resort. */
function terminationMethods(
  departure: Departure,
  membership: Membership | undefined | 'refused',
  ask: AskSecond,
): TerminationMethod[] {
  const { host, config } = departure;
  const { cloud, machine } = host;
  const bounded = (
    name: string,
    ms: number,
    call: (confirmed: Confirmed, signal: AbortSignal) => Promise<void>,
  ): TerminationMethod => ({
    name,
    run: (confirmed, signal) => retryConfirmed(host, ms, confirmed, ask, signal, call).then(() => true),
  });
  const alone = [
    bounded('TerminateInstances', callsMs, cloud.terminateSelf),
    bounded('power-off', callsMs, machine.powerOff),
  ];
  if (membership === undefined) return alone;
  const { launchHook } = config.autoScaling;
  const launching = typeof membership === 'object' && membership.lifecycleState === 'Pending:Wait';
  const first: TerminationMethod[] =
    launching && launchHook !== undefined
      ? [
          {
            name: 'ABANDON',
            run: (confirmed, signal) => abandon(departure, membership.group, launchHook, confirmed, signal),
          },
        ]
      : [];
  return [
    ...first,
    bounded('TerminateInstanceInAutoScalingGroup', groupMs, (confirmed, signal) =>
      terminateInGroup(cloud, confirmed, signal),
    ),
    { name: 'SetInstanceHealth', run: (confirmed, signal) => reportUnhealthy(departure, confirmed, ask, signal) },
    ...alone,
  ];
}

/** When AWS receives a call twice, the second answer says that there is no action any more. */
async function abandon(
  departure: Departure,
  group: string,
  hook: string,
  confirmed: Confirmed,
  signal: AbortSignal,
): Promise<boolean> {
  if (await abandonLaunch(departure.host, group, hook, confirmed)) return true;
  return isTerminating(await waitForMembership(departure, signal));
}

/**
 * A group that already terminates this instance answers that it is busy, as it does when it is busy
 * with others.
 */
async function terminateInGroup(cloud: Cloud, confirmed: Confirmed, signal: AbortSignal): Promise<void> {
  try {
    await cloud.terminateInGroup(confirmed, signal);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    const membership = await cloud.readMembership(signal).catch(() => undefined);
    if (!isTerminating(membership)) throw error;
  }
}

async function reportUnhealthy(
  departure: Departure,
  first: Confirmed,
  ask: AskSecond,
  signal: AbortSignal,
): Promise<boolean> {
  const { host } = departure;
  await retryConfirmed(host, callsMs, first, ask, signal, host.cloud.reportUnhealthy);
  const end = host.clock.uptime() + replacedMs;
  while (host.clock.uptime() < end) {
    await host.clock.sleep(10_000, signal);
    // The node may leave its warm pool meanwhile, and ECS may place tasks on it.
    await drainLateRegistration(departure, signal);
    if (isTerminating(await waitForMembership(departure, signal))) return true;
  }
  return false;
}

async function tryMethod(
  departure: Departure,
  method: TerminationMethod,
  confirmed: Confirmed,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const accepted = await method.run(confirmed, signal);
    departure.host.log.warn('terminating', { by: method.name, taken: accepted });
    return accepted;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TakenBack) throw error;
    await departure.trouble(method.name, error);
    return false;
  }
}
