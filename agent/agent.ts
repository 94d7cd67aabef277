/**
 * The agent: joins, watches, publishes and leaves. Ends when it is stopped, or when the node has
 * left.
 */

import type { Config } from '../config/config.ts';
import { Unfit, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { everyInterval, exactlyAt, openGrowingPause } from '../core/interval.ts';
import type { DepartureState } from '../core/state/state.ts';
import type { Chore } from '../upkeep/chore.ts';
import { openProviderKeeper } from './capacity-provider/keep-in-provider.ts';
import { isDeniedByOne, noteJoined } from './joining/first-boot.ts';
import { join } from './joining/join.ts';
import { openUnfinishedHooks } from './joining/unfinished-hook.ts';
import { setLateTags } from './joining/late-tags.ts';
import { lookForLateView } from './joining/late-view.ts';
import { readBootId, readDeparture, type DepartureEffects } from './departure/departure.ts';
import { isHeldYet } from './watching/left-alone.ts';
import { openMemories } from './watching/memories.ts';
import { publishMetrics } from './publish.ts';
import { roster } from './watching/roster.ts';
import { openStatusBook, readStatus, type AgentStatus, type ConfigurationStatus, type StatusBook } from './status.ts';
import { staleTargetMs, type PoolMeaning } from './watchers/lifecycle.ts';
import { isOver, withoutOldConfirmation } from './departure/order.ts';
import { openSupervisor, type Supervisor } from './departure/supervisor.ts';
import { openRunningActions } from './watching/running-actions.ts';
import { runChores } from './run-chores.ts';
import type { AgentContext } from './watching/carry-out.ts';
import { watch } from './watching/watch.ts';
import type { KnownFacts } from './known-facts.ts';

export interface AgentOptions {
  /** Removes the node from its registrar. */
  deregister: DepartureEffects['deregister'];
  /**
   * Called before a node that cannot join terminates itself; the storm guard, for example, may make
   * it wait. False: try to join again.
   */
  mayTerminate?(signal: AbortSignal, knownFacts: KnownFacts): Promise<boolean>;
  /** The chores that keep the node up to date; none by default. */
  chores?: readonly Chore[];
  /**
   * Resolves when an agent with another configuration is to take over. This one then ends as soon
   * as no departure is under way.
   */
  handOver?(reportError: StatusBook['error'], signal: AbortSignal): Promise<void>;
  /** The configuration's part of the status. */
  configuration?: ConfigurationStatus;
  /** WATCHDOG_USEC, in milliseconds. */
  watchdogMs?: number;
}

/** The interval at which the agent checks whether it must join (again). */
const joinEveryMs = 5_000;

/** Another cluster is refused at once, each time, and a whole fleet may be configured alike. */
const joinPauses = { firstMs: 10_000, longestMs: 900_000 };

/**
 * A departure under way ends before the agent does; this is how often the agent checks for its end.
 */
const restEveryMs = 1_000;

/**
 * Runs until the node has left for good, and resolves with the departure's state. Resolves with
 * undefined when another agent is to take over. Rejects with the signal's reason when stopped:
 * everything is on disk then, and the next agent continues.
 */
export async function runAgent(
  host: Host,
  config: Config,
  options: AgentOptions,
  signal: AbortSignal,
): Promise<DepartureState | undefined> {
  const agentEnds = new AbortController();
  const agentSignal = AbortSignal.any([signal, agentEnds.signal]);
  const bootId = await readBootId(host, agentSignal);
  const book = openStatusBook(host, await firstStatus(host, bootId, options));
  const past = await readDeparture(host, agentSignal);
  const onAsked = (state: DepartureState) => context.memories.rememberAsked(state);
  const supervisor = openSupervisor(host, config, { ...options, past: ofThisBoot(past, bootId), onAsked }, agentSignal);
  let isJoined = book.read().join.state === 'joined';
  let joinedAt = isJoined ? host.clock.uptime() : undefined;
  const setJoined = (state: AgentStatus['join']['state'], detail: string) => {
    if (state === 'joined') joinedAt = host.clock.uptime();
    isJoined = state === 'joined';
    recordJoin(host, book, state, detail);
  };
  const knownFacts: KnownFacts = {};
  const watchers = roster(config, host.identity, () => meaningOfPool(context, joinedAt), knownFacts);
  const context: AgentContext = {
    host,
    config,
    watchers,
    memories: openMemories(watchers, book),
    supervisor,
    runningActions: openRunningActions(),
    ...(past === 'unread' ? { past: undefined, pastUnreadAt: host.clock.uptime() } : { past }),
    bootId,
    onReturn: () => setJoined('joining', 'back in the group'),
  };
  const { chores = [] } = options;
  const isWatched = () => isJoined || knownFacts.watchesUnjoined === true || knownFacts.waitsForCheck === true;
  const inService = () => (isJoined && knownFacts.registersAnew !== true ? supervisor.idle() : undefined);
  host.log.info('agent started', { bootId });
  // These two may end early, which must not end the agent. The agent does not wait for them at its
  // end.
  const publishing = publishMetrics(host, config, () => countFailing(chores, book), agentSignal, knownFacts).then(
    () => supervisor.left,
  );
  const finishing = finishBootstrap(host, agentSignal).then(() => supervisor.left);
  const parts = [
    watch({ context, book, joined: isWatched }, agentSignal),
    keepJoined({ context, options, book, setJoined, isJoined: () => isJoined, knownFacts }, agentSignal),
    notifySystemd(host, book, supervisor, options.watchdogMs, agentSignal),
    ...(options.handOver === undefined
      ? []
      : [waitUntilAtRest(host, options.handOver(book.error, agentSignal), supervisor, agentSignal)]),
    ...(chores.length === 0 ? [] : [runChores({ host, chores, book, inService }, agentSignal)]),
  ];
  const keeping = book.keep(agentSignal);
  // The rejection is handled after the departure has stopped. Unhandled until then, it would end
  // the program.
  keeping.catch(() => {});
  try {
    return await Promise.race([supervisor.left, publishing, finishing, ...parts]);
  } finally {
    agentEnds.abort(new Error('the agent ends'));
    // A departure may be completing a hook, and a stop does not interrupt that.
    await supervisor.stopped();
    await Promise.allSettled([...parts, keeping]);
  }
}

/** `joinedAt`: the uptime of the last join, also while the node joins again after its return. */
function meaningOfPool({ memories, host }: AgentContext, joinedAt: number | undefined): PoolMeaning {
  // The tasks end during the departure, and the order must not end with them.
  if (memories.recall('scale-in').wish?.returns === true) return 'return';
  if (joinedAt === undefined) return 'unknown';
  return host.clock.uptime() - joinedAt >= staleTargetMs ? 'return' : 'stale';
}

/** A machine that has booted since may be back from what was confirmed then. */
function ofThisBoot(past: Awaited<ReturnType<typeof readDeparture>>, bootId: string): DepartureState | undefined {
  return past !== 'unread' && past?.bootId === bootId ? withoutOldConfirmation(past, bootId) : undefined;
}

/**
 * No await between the last check and the end: a departure that begins afterwards resumes from the
 * disk. One that is not undone yet may be in memory only, because the disk is full.
 */
async function waitUntilAtRest(
  { clock }: Host,
  asked: Promise<void>,
  supervisor: Supervisor,
  signal: AbortSignal,
): Promise<undefined> {
  await asked;
  const isAtRest = () => {
    const state = supervisor.state();
    return state === undefined ? supervisor.isAtRest() : isOver(state);
  };
  while (!isAtRest()) await clock.sleep(restEveryMs, signal);
}

/** The status of this boot's last agent, without chores that are no longer configured. */
async function firstStatus(
  host: Host,
  bootId: string,
  { configuration, chores = [] }: Pick<AgentOptions, 'configuration' | 'chores'>,
): Promise<AgentStatus> {
  const before = await readStatus(host);
  const now = host.clock.now();
  const current = configuration !== undefined && { configuration };
  if (before !== undefined && before.bootId === bootId) {
    const { configuration: _old, chores: done = {}, ...rest } = before;
    const kept = Object.entries(done).filter(([name]) => chores.some((chore) => chore.name === name));
    return { ...rest, at: now, chores: Object.fromEntries(kept), ...current };
  }
  const { instanceId } = host.identity;
  const starting = { state: 'joining' as const, detail: 'starting', since: now };
  return { instanceId, bootId, at: now, join: starting, watchers: {}, chores: {}, memories: {}, ...current };
}

function recordJoin(host: Host, book: StatusBook, state: AgentStatus['join']['state'], detail: string): void {
  book.change((status) => {
    const { join: before } = status;
    // Joining reports the same state every few seconds while it waits.
    if (before.state === state && before.detail === detail) return status;
    const since = before.state === state ? before.since : host.clock.now();
    return { ...status, join: { state, detail, since } };
  });
}

/** Finishes the tags and the registration that the bootstrap did not wait for. */
async function finishBootstrap(host: Host, signal: AbortSignal): Promise<void> {
  await Promise.all([setLateTags(host, signal), lookForLateView(host, signal)]);
}

interface Joining {
  context: AgentContext;
  options: AgentOptions;
  knownFacts: KnownFacts;
  book: StatusBook;
  isJoined(): boolean;
  setJoined(state: AgentStatus['join']['state'], detail: string): void;
}

/** Joins whenever the node is not in service and is not about to leave. */
async function keepJoined(joining: Joining, signal: AbortSignal): Promise<never> {
  const { isJoined, setJoined, knownFacts, book } = joining;
  const { host, config, supervisor } = joining.context;
  const hooks = openUnfinishedHooks(host, config, book, knownFacts);
  const provider = openProviderKeeper({
    host,
    config,
    book,
    knownFacts,
    idle: () => supervisor.idle(),
    isDrained: () => supervisor.idle() === undefined && supervisor.state()?.drainedAt !== undefined,
  });
  const joinPause = openGrowingPause(host.clock, joinPauses);
  // An older version has joined without a note.
  const note = openJoinNote(host, config.cluster);
  if (isJoined()) await note(signal);
  // A round may begin early, together with another timer, because each wake-up costs CPU time.
  const next = (at: number) => ({ earliestAt: at + joinEveryMs / 2, latestAt: at + joinEveryMs });
  return everyInterval(host.clock, { everyMs: joinEveryMs, next }, signal, async () => {
    // A node that is only drained may still have a launch hook to complete. Left alone, the hook
    // would terminate it.
    const remaining = supervisor.remaining();
    // Without it, an ECS agent that was stopped on purpose would count against the node.
    if (remaining !== undefined)
      await provider.resume(AbortSignal.any([signal, remaining])).catch(() => signal.throwIfAborted());
    if (!isJoined() && remaining !== undefined) {
      if (!joinPause.isOver()) return;
      try {
        hooks.note(await join(host, config, setJoined, AbortSignal.any([signal, remaining]), knownFacts));
        setJoined('joined', `in the cluster ${config.cluster}`);
        knownFacts.watchesUnjoined = false;
        host.log.info('joined', { cluster: config.cluster });
        host.events.tell({ type: 'joined', uptimeSeconds: Math.round(host.clock.uptime() / 1000) });
        joinPause.reset();
        await note(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!remaining.aborted) await handleJoinFailure(joining, error, signal);
        if (knownFacts.watchesUnjoined === true) joinPause.begin();
      }
    } else if (remaining !== undefined) {
      await note(signal);
      const both = AbortSignal.any([signal, remaining]);
      await hooks.tryAgain(both).catch(() => signal.throwIfAborted());
      await provider.look(both).catch(() => signal.throwIfAborted());
    }
  });
}

/** The pauses after the disk has refused the note: it may be full for days. */
const notePauses = { firstMs: 60_000, longestMs: 3_600_000 };

/** Writes the note once, and again later where the disk refuses it. */
function openJoinNote(host: Host, cluster: string): (signal: AbortSignal) => Promise<void> {
  const pause = openGrowingPause(host.clock, notePauses);
  let isNoted = false;
  return async (signal) => {
    if (isNoted || !pause.isOver()) return;
    isNoted = await noteJoined(host, cluster, signal);
    if (!isNoted) pause.begin();
  };
}

async function handleJoinFailure(
  { context, options, setJoined, knownFacts }: Joining,
  error: unknown,
  signal: AbortSignal,
): Promise<void> {
  const { host, config, memories, supervisor } = context;
  const reason = messageOf(error);
  host.log.error('cannot join', { error: reason });
  setJoined('failed', reason);
  if (!(error instanceof Unfit) || config.bootstrap.onFailure === 'keep') return;
  // The watcher of the ECS agent decides then: it restarts that agent first, and asks the queue.
  knownFacts.watchesUnjoined = await isDeniedByOne(host, signal);
  if (knownFacts.watchesUnjoined) return;
  if (await isHeldYet(context, signal)) return;
  if (options.mayTerminate !== undefined && !(await options.mayTerminate(signal, knownFacts))) return;
  const order = { cause: 'join-failed', reason, ending: 'terminate' } as const;
  memories.add(order);
  await supervisor.follow(memories.wanted());
}

/** Undefined where no chore is configured. */
function countFailing(chores: readonly Chore[], book: StatusBook): number | undefined {
  if (chores.length === 0) return undefined;
  return Object.values(book.read().chores ?? {}).filter(({ outcome }) => outcome === 'failed').length;
}

/** Sends READY once, then the status when it changes, and WATCHDOG at half the watchdog's time. */
async function notifySystemd(
  host: Host,
  book: StatusBook,
  supervisor: Supervisor,
  watchdogMs: number | undefined,
  signal: AbortSignal,
): Promise<never> {
  const { machine, clock } = host;
  await machine.notify(['READY=1', `STATUS=${renderSummary(book, supervisor)}`]);
  const everyMs = Math.min(30_000, (watchdogMs ?? 60_000) / 2);
  let last = '';
  const next = (at: number) => exactlyAt(at + everyMs);
  return everyInterval(clock, { everyMs, next }, signal, async () => {
    const summary = renderSummary(book, supervisor);
    const words = [
      ...(watchdogMs === undefined ? [] : ['WATCHDOG=1']),
      ...(summary === last ? [] : [`STATUS=${summary}`]),
    ];
    if (words.length > 0) await machine.notify(words);
    last = summary;
  });
}

function renderSummary(book: StatusBook, supervisor: Supervisor): string {
  const departure = supervisor.state();
  const { join: joined } = book.read();
  if (departure === undefined || departure.undoneAt !== undefined) return `${joined.state}: ${joined.detail}`;
  const waiting = departure.blockers.length > 0 ? `, waiting for ${departure.blockers.length} tasks` : '';
  return `leaving (${departure.cause}): ${departure.phase}${waiting}`;
}
