/** Carries out what the judge says: treats, recovers, leaves, stays. */

import type { Config } from '../core/config.ts';
import { messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import { within } from '../core/patience.ts';
import type { DepartureState } from '../core/state.ts';
import { mayOverrule } from './departure/order.ts';
import type { Undoing } from './departure/undo.ts';
import { calledOff, ordered, over, recovered, treated, type Verdict } from './judge.ts';
import type { Memories } from './memories.ts';
import type { Supervisor } from './supervisor.ts';
import type { UnderWay } from './under-way.ts';
import type { Order, Watcher, Wish } from './watcher.ts';

/** Removing the images of a full disk takes minutes. */
const treatMs = 600_000;

/** Looking at a queue, undoing a treatment: some calls. */
const callsMs = 120_000;

/** Between tries to bring a node back that ECS does not let back. */
const undoAgainMs = 20_000;

export interface Desk {
  host: Host;
  config: Config;
  watchers: readonly Watcher[];
  memories: Memories;
  supervisor: Supervisor;
  underWay: UnderWay;
  /** The departure that an earlier process or boot has left on disk, until it is dealt with. */
  past: DepartureState | undefined;
  bootId: string;
  /** The node is back from where it was expected to come back from. */
  onReturn(): void;
}

/** Throws when it could not be done: the judge says it again after the next check. */
export async function carryOut(desk: Desk, watcher: Watcher, verdict: Verdict, signal: AbortSignal): Promise<void> {
  switch (verdict.kind) {
    case 'stay':
      return;
    case 'tell':
      desk.host.log.warn('noticed', { watcher: watcher.name, reason: verdict.reason });
      return;
    case 'treat':
      return desk.underWay.run(
        watcher.name,
        (inner) => treat(desk, watcher, verdict.attempt, verdict.reason, inner),
        signal,
      );
    case 'leave':
      return desk.underWay.run(
        watcher.name,
        (inner) => orderToLeave(desk, watcher, verdict.wish, inner, signal),
        signal,
      );
    case 'recover':
      return recover(desk, watcher, signal);
    case 'undo':
      return undoAll(desk, watcher, verdict.reason, signal);
  }
}

async function treat(
  { host, memories }: Desk,
  watcher: Watcher,
  attempt: number,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  const { name } = watcher;
  host.log.warn('treating', { watcher: name, reason, attempt });
  const work = async (inner: AbortSignal) => watcher.treat?.(host, attempt, inner) ?? 'done';
  const outcome = await within(treatMs, work, host.clock, signal);
  if (outcome === 'done') memories.remember(name, treated(memories.recall(name), host.clock.uptime()));
  else host.log.info('waits for its turn', { watcher: name, reason });
}

/** `signal` lasts until a person takes it back, `lasting` for as long as the agent lives. */
async function orderToLeave(
  desk: Desk,
  watcher: Watcher,
  wish: Wish,
  signal: AbortSignal,
  lasting: AbortSignal,
): Promise<void> {
  const { host, memories, supervisor, past } = desk;
  const { name } = watcher;
  if (name === 'termination-protection') throw new TypeError('termination protection is no reason to leave');
  if (wish.key !== undefined && past?.undoneAt !== undefined && !past.eventGone && past.key === wish.key) {
    // Called off before a restart: the event is still listed, the decision stands.
    memories.remember(name, calledOff(ordered(memories.recall(name), wish)));
    return;
  }
  // Who was doomed by somebody else asks nobody.
  if (wish.key === undefined && watcher.mayLeave !== undefined) {
    const ask = async (inner: AbortSignal) => watcher.mayLeave?.(host, inner) ?? 'go';
    if ((await within(callsMs, ask, host.clock, signal)) === 'wait') {
      host.log.info('waits for its turn to leave', { watcher: name, reason: wish.reason });
      return;
    }
  }
  memories.remember(name, ordered(memories.recall(name), wish));
  await supervisor.follow(memories.wanted() ?? { ...wish, cause: name });
  scheduleUndo(desk, watcher, wish.undoAfterMs, lasting);
}

/** What this watcher saw is over. */
async function recover(desk: Desk, watcher: Watcher, signal: AbortSignal): Promise<void> {
  const { memories, supervisor, past } = desk;
  const { name } = watcher;
  const before = memories.recall(name);
  let isUndone: boolean;
  if (before.wish !== undefined) {
    memories.remember(name, calledOff(before));
    try {
      const stays = await reconsider(desk, `${name}: ${before.wish.reason}: over`, name, true);
      if (!stays) await endHere(desk, supervisor.state());
      isUndone = stays && (await undoTreatment(desk, watcher, signal));
    } catch (error) {
      memories.remember(name, before);
      throw error;
    }
  } else {
    const mine = past !== undefined && past.cause === name && past.undoneAt === undefined;
    // One that has just begun for something else may not have written its state yet; one that begins meanwhile waits its turn.
    if (mine && supervisor.state() === undefined && !isLeaving(desk)) {
      const undone = await supervisor.callOff(undoingOf(desk, `${name}: over`, name, true));
      desk.past = undefined;
      if (!undone) await endHere(desk, past);
    }
    isUndone = await undoTreatment(desk, watcher, signal);
  }
  const memory = { ...memories.recall(name), ...(before.wish !== undefined && { wish: before.wish }) };
  if (isUndone) memories.remember(name, recovered(memory));
  // Said at each check for as long as it waits: it is over once.
  else if (memory.begun) memories.remember(name, over(memory));
}

/** It has left its registrar for an end that never came (a spot stop that took over): nobody else would end it now. */
async function endHere({ memories, supervisor }: Desk, state: DepartureState | undefined): Promise<void> {
  if (state?.ending !== 'await') return;
  const reason = `still here after it had left: ${state.reason}`;
  const order: Order = { cause: 'join-failed', reason, ending: 'terminate' };
  memories.add(order);
  await supervisor.follow(order);
}

function undoingOf({ memories }: Desk, why: string, except: Watcher['name'], eventGone: boolean): Undoing {
  return { why, keepDraining: memories.isTreatedByOther(except), eventGone };
}

/** Goes on with what is still wanted, or stays. False: too late to stay. */
async function reconsider(desk: Desk, why: string, except: Watcher['name'], eventGone = false): Promise<boolean> {
  const { memories, supervisor, onReturn } = desk;
  const next = memories.wanted();
  if (next !== undefined) {
    await supervisor.follow(next);
    return true;
  }
  const state = supervisor.state();
  if (state === undefined) return true;
  const undone = await supervisor.callOff(undoingOf(desk, why, except, eventGone));
  if (undone && state.returns === true) onReturn();
  return undone;
}

/** False: what the treatment did to the node has to stay until something else is over. */
async function undoTreatment(desk: Desk, watcher: Watcher, signal: AbortSignal): Promise<boolean> {
  if (watcher.recover === undefined) return true;
  if (isLeaving(desk)) return false;
  const work = async (inner: AbortSignal) => watcher.recover?.(desk.host, inner);
  await within(callsMs, work, desk.host.clock, signal);
  return true;
}

/** For something else, or for what was called off too late: it must not be made ACTIVE, and given tasks that end with it. */
function isLeaving({ memories, supervisor }: Desk): boolean {
  return memories.wanted() !== undefined || !supervisor.isAtRest();
}

/** A person wants the node to stay: everything is called off that is not somebody else's decision. */
async function undoAll(desk: Desk, operator: Watcher, reason: string, signal: AbortSignal): Promise<void> {
  const { host, watchers, memories, underWay } = desk;
  const overruled = watchers.map(({ name }) => name).filter(mayOverrule);
  const callOff = () => overruled.forEach((name) => memories.remember(name, calledOff(memories.recall(name))));
  callOff();
  // A treatment that is just being given would make the node DRAINING again, which nobody would undo any more.
  await Promise.all(overruled.map((name) => underWay.stop(name)));
  callOff();
  memories.clearAdded();
  const kept = memories.wanted();
  if (kept !== undefined) host.log.warn('cannot stay', { cause: kept.cause, reason: kept.reason });
  await reconsider(desk, `stay: ${reason}`, operator.name);
  for (const watcher of watchers) if (watcher !== operator) await undoTreatment(desk, watcher, signal);
  // The request is consumed last, and also when it could not be obeyed: it would be repeated every two seconds.
  await operator.recover?.(host, signal);
}

/** A departure that time undoes, when nothing else has followed by then. */
export function scheduleUndo(desk: Desk, watcher: Watcher, ms: number | undefined, signal: AbortSignal): void {
  if (ms === undefined) return;
  const { host, memories, supervisor } = desk;
  const undo = async () => {
    const undoAt = supervisor.state()?.undoAt;
    await host.clock.sleep(undoAt === undefined ? ms : Math.max(0, undoAt - host.clock.now()), signal);
    memories.remember(watcher.name, calledOff(memories.recall(watcher.name)));
    for (;;) {
      try {
        await reconsider(desk, `${watcher.name}: nothing followed`, watcher.name);
        return;
      } catch (error) {
        signal.throwIfAborted();
        host.log.warn('not undone yet', { watcher: watcher.name, error: messageOf(error) });
        await host.clock.sleep(undoAgainMs, signal);
      }
    }
  };
  undo().catch((error: unknown) => {
    if (!signal.aborted) host.log.error('not undone', { watcher: watcher.name, error: messageOf(error) });
  });
}
