/**
 * The rest of the node's life, put together: joins, watches, publishes, leaves; ends when told to,
 * or when the node has left.
 */

import type { Config } from '../config/config.ts';
import { Unfit, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import type { DepartureState } from '../core/state/state.ts';
import type { Chore } from '../upkeep/chore.ts';
import { join } from './joining/join.ts';
import { openUnfinishedHooks } from './joining/unfinished-hook.ts';
import { setLateTags } from './joining/late-tags.ts';
import { lookForLateView } from './joining/late-view.ts';
import { readDeparture, type DepartureEffects } from './departure/leave.ts';
import { openMemories } from './watching/memories.ts';
import { publishMetrics } from './publish.ts';
import { roster } from './watching/roster.ts';
import { openStatusBook, readStatus, type AgentStatus, type ConfigurationStatus, type StatusBook } from './status.ts';
import { openSupervisor, type Supervisor } from './departure/supervisor.ts';
import { openRunningActions } from './watching/running-actions.ts';
import { runChores } from './run-chores.ts';
import type { AgentContext } from './watching/carry-out.ts';
import { watch } from './watching/watch.ts';
import type { KnownFacts } from './known-facts.ts';

export interface AgentOptions {
  /** Takes the node out of its registrar. */
  deregister: DepartureEffects['deregister'];
  /**
   * Asked before a node that cannot join dies, e.g. by the storm guard, which may make it wait.
   * False: try to join again.
   */
  mayTerminate?(signal: AbortSignal, knownFacts: KnownFacts): Promise<boolean>;
  /** What the node keeps up to date; none by default. */
  chores?: readonly Chore[];
  /**
   * Resolves when another agent, with another configuration, is to take over; this one ends as soon
   * as no departure is under way.
   */
  handOver?(reportError: StatusBook['error'], signal: AbortSignal): Promise<void>;
  /** What the status says about the configuration. */
  configuration?: ConfigurationStatus;
  /** WATCHDOG_USEC, in milliseconds. */
  watchdogMs?: number;
}

/** Between looks at whether it is time to join (again). */
const joinEveryMs = 5_000;

/**
 * So long after a node has left its warm pool the metadata service may still say that it is wanted
 * there: three times what was seen.
 */
const staleTargetMs = 10_000;

/** A departure that is under way ends first: so often it is looked for. */
const restEveryMs = 1_000;

/**
 * Runs until the node has left for good, and resolves with how; undefined when another agent is to
 * take over. Rejects with the signal's reason when stopped: everything is on disk then, and the
 * next agent goes on.
 */
export async function runAgent(
  host: Host,
  config: Config,
  options: AgentOptions,
  signal: AbortSignal,
): Promise<DepartureState | undefined> {
  const agentEnds = new AbortController();
  const agentSignal = AbortSignal.any([signal, agentEnds.signal]);
  const bootId = await host.machine.readBootId().catch(() => '');
  const book = openStatusBook(host, await firstStatus(host, bootId, options));
  const supervisor = openSupervisor(host, config, { deregister: options.deregister }, agentSignal);
  let isJoined = book.read().join.state === 'joined';
  let joinedAt = host.clock.uptime();
  const setJoined = (state: AgentStatus['join']['state'], detail: string) => {
    if (state === 'joined' && !isJoined) joinedAt = host.clock.uptime();
    isJoined = state === 'joined';
    recordJoin(host, book, state, detail);
  };
  const isTargetStateCurrent = () => isJoined && host.clock.uptime() - joinedAt >= staleTargetMs;
  const knownFacts: KnownFacts = {};
  const watchers = roster(config, host.identity, isTargetStateCurrent, knownFacts);
  const context: AgentContext = {
    host,
    config,
    watchers,
    memories: openMemories(watchers, book),
    supervisor,
    runningActions: openRunningActions(),
    past: await readDeparture(host),
    bootId,
    onReturn: () => setJoined('joining', 'back in the group'),
  };
  const { chores = [] } = options;
  const inService = () => (isJoined ? supervisor.idle() : undefined);
  host.log.info('agent started', { bootId });
  const watching = watch({ context, book, joined: () => isJoined }, agentSignal);
  const joining = keepJoined({ context, options, book, setJoined, isJoined: () => isJoined, knownFacts }, agentSignal);
  // What is over before the node has left ends nobody, and it is not waited for at the end.
  const publishing = publishMetrics(host, config, () => countFailing(chores, book), agentSignal, knownFacts).then(
    () => supervisor.left,
  );
  const finishing = finishBootstrap(host, agentSignal).then(() => supervisor.left);
  const parts = [
    watching,
    joining,
    notifySystemd(host, book, supervisor, options.watchdogMs, agentSignal),
    ...(options.handOver === undefined
      ? []
      : [waitUntilAtRest(host, options.handOver(book.error, agentSignal), supervisor, agentSignal)]),
    ...(chores.length === 0 ? [] : [runChores({ host, chores, book, inService }, agentSignal)]),
  ];
  const keeping = book.keep(agentSignal);
  // Looked at when the departure has stopped: until then nobody waits for it, and unhandled it
  // would end the program.
  keeping.catch(() => {});
  try {
    return await Promise.race([supervisor.left, publishing, finishing, ...parts]);
  } finally {
    agentEnds.abort(new Error('the agent ends'));
    // It may be completing a hook, which a stop does not cut off.
    await supervisor.stopped();
    await Promise.allSettled([...parts, keeping]);
  }
}

/**
 * Nothing is awaited between the last look and the end: a departure that begins then is resumed
 * from the disk.
 */
async function waitUntilAtRest(
  { clock }: Host,
  asked: Promise<void>,
  supervisor: Supervisor,
  signal: AbortSignal,
): Promise<undefined> {
  await asked;
  while (!supervisor.isAtRest()) await clock.sleep(restEveryMs, signal);
}

/** What the last agent of this boot knew, without what is not done any more. */
async function firstStatus(
  host: Host,
  bootId: string,
  { configuration, chores = [] }: Pick<AgentOptions, 'configuration' | 'chores'>,
): Promise<AgentStatus> {
  const before = await readStatus(host);
  const now = host.clock.now();
  if (before !== undefined && before.bootId === bootId) {
    const { configuration: _old, chores: done = {}, ...rest } = before;
    const kept = Object.entries(done).filter(([name]) => chores.some((chore) => chore.name === name));
    return {
      ...rest,
      at: now,
      chores: Object.fromEntries(kept),
      ...(configuration !== undefined && { configuration }),
    };
  }
  const { instanceId } = host.identity;
  const starting = { state: 'joining' as const, detail: 'starting', since: now };
  return { instanceId, bootId, at: now, join: starting, watchers: {}, chores: {}, memories: {} };
}

function recordJoin(host: Host, book: StatusBook, state: AgentStatus['join']['state'], detail: string): void {
  book.change((status) => {
    const { join: before } = status;
    // Said again every few seconds while it waits.
    if (before.state === state && before.detail === detail) return status;
    const since = before.state === state ? before.since : host.clock.now();
    return { ...status, join: { state, detail, since } };
  });
}

/** What the bootstrap went on without. */
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
  for (;;) {
    // Who is only drained has its launch hook still to complete: unattended it would end the node.
    const remaining = supervisor.remaining();
    if (!isJoined() && remaining !== undefined) {
      try {
        hooks.note(await join(host, config, setJoined, AbortSignal.any([signal, remaining]), knownFacts));
        setJoined('joined', `in the cluster ${config.cluster}`);
        host.log.info('joined', { cluster: config.cluster });
      } catch (error) {
        signal.throwIfAborted();
        if (!remaining.aborted) await handleJoinFailure(joining, error, signal);
      }
    } else if (remaining !== undefined) {
      await hooks.tryAgain(AbortSignal.any([signal, remaining])).catch(() => signal.throwIfAborted());
    }
    await host.clock.sleep(joinEveryMs, signal, joinEveryMs / 2);
  }
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
  // Whoever has drained it by hand wants to look at it.
  if (memories.wanted()?.cause === 'operator') return;
  if (options.mayTerminate !== undefined && !(await options.mayTerminate(signal, knownFacts))) return;
  const order = { cause: 'join-failed', reason, ending: 'terminate' } as const;
  memories.add(order);
  await supervisor.follow(memories.wanted() ?? order);
}

/** Undefined where there is nothing to do. */
function countFailing(chores: readonly Chore[], book: StatusBook): number | undefined {
  if (chores.length === 0) return undefined;
  return Object.values(book.read().chores ?? {}).filter(({ outcome }) => outcome === 'failed').length;
}

/** READY once, then how the node is, and a sign of life at half the watchdog's time. */
async function notifySystemd(
  host: Host,
  book: StatusBook,
  supervisor: Supervisor,
  watchdogMs: number | undefined,
  signal: AbortSignal,
): Promise<never> {
  const { machine, clock } = host;
  await machine.notify(`READY=1\nSTATUS=${renderSummary(book, supervisor)}`);
  const everyMs = Math.min(30_000, (watchdogMs ?? 60_000) / 2);
  for (let last = ''; ;) {
    const summary = renderSummary(book, supervisor);
    const words = [
      ...(watchdogMs === undefined ? [] : ['WATCHDOG=1']),
      ...(summary === last ? [] : [`STATUS=${summary}`]),
    ];
    if (words.length > 0) await machine.notify(words.join('\n'));
    last = summary;
    await clock.sleep(everyMs, signal);
  }
}

function renderSummary(book: StatusBook, supervisor: Supervisor): string {
  const departure = supervisor.state();
  const { join: joined } = book.read();
  if (departure === undefined || departure.undoneAt !== undefined) return `${joined.state}: ${joined.detail}`;
  const waiting = departure.blockers.length > 0 ? `, waiting for ${departure.blockers.length} tasks` : '';
  return `leaving (${departure.cause}): ${departure.phase}${waiting}`;
}
