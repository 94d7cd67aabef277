/** Brings a departing node back, unless an action was taken that cannot be undone. */

import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';
import type { DepartureState } from '../../core/state/state.ts';
import { Unavailable, messageOf } from '../../core/errors.ts';
import { openLasting, singleErrorMs } from '../../core/lasting.ts';
import { poll } from '../../core/poll.ts';
import { callWithRetry } from '../calls.ts';
import { isQueueEntry, removeFromQueue } from '../leave-queue/leave-queue.ts';
import { findContainerInstance, findOtherRecords, resumePlacement } from '../container-instance.ts';
import type { ContainerInstanceRef } from '../container-instance.ts';
import { forgetDeparture, readDeparture, writeDeparture } from './departure.ts';
import { hasBalancers, irrevocableOf, isRevocable, withOverruled, withTrouble } from './order.ts';
import { readLocalSigns } from './task-sight.ts';
import { noRecordLastsMs, recordEveryMs } from './tasks.ts';

/** The caller retries when AWS needs longer. */
const patienceMs = 60_000;

/** ECS may be wrong for a minute about a record that this program has drained. */
const drainedLastsMs = singleErrorMs;

/** The node is ACTIVE already, so the end of the departure does not wait for long. */
const marksMs = 20_000;

export interface UndoOptions {
  why: string;
  /** Another reason keeps the node out of service. */
  keepDraining: boolean;
  /**
   * The event behind the departure is over or denied; false when a person wants the node to stay
   * although it is not.
   */
  eventGone: boolean;
  /**
   * The cause is denied. The departure is undone even after the node left its registrar, because a
   * healthy node must not end for that.
   */
  isDenied?: true;
  /** The keys of all events that are called off. They may be more than the departure's own. */
  overruled?: readonly string[];
}

/**
 * Sets ACTIVE again, unless another reason keeps the node out of service. Throws when ECS could not
 * be told, or the disk does not answer; false when it is too late. `known` is the state in memory,
 * which a full disk may have refused to store. Without it, the state is read from the disk.
 */
export async function undoDeparture(
  host: Host,
  config: Config,
  known: DepartureState | undefined,
  { why, keepDraining, eventGone, isDenied, overruled = [] }: UndoOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const state = known ?? (await readDeparture(host, signal));
  if (state === 'unread') throw new Unavailable('the disk does not say what is to be undone');
  if (state === undefined || state.undoneAt !== undefined) return true;
  if (!isRevocable(state) && isDenied !== true) {
    host.log.warn('too late to stay', { cause: state.cause, phase: state.phase, why });
    return false;
  }
  const containerInstance = keepDraining ? undefined : await findDrained(host, config, state, signal);
  if (containerInstance !== undefined) {
    // An order that comes now, or a kill, breaks the undoing off.
    const begun = { ...state, undoBegunAt: state.undoBegunAt ?? host.clock.now() };
    if (state.drainedAt !== undefined) await writeDeparture(host, begun, signal);
    await resumePlacement(host, containerInstance, patienceMs, signal);
    // They were drained too, and the ECS agent may come back under any of them.
    for (const other of await findOtherRecords(host, containerInstance, patienceMs, signal))
      await resumePlacement(host, other, patienceMs, signal);
  }
  if (state.drainedAt !== undefined) await removeMarks(host, config, containerInstance, signal);
  const lost = whatIsLost(state, config);
  for (const what of lost) host.log.error('not undone', { what, why });
  const isKept = await writeDeparture(
    host,
    {
      ...withOverruled(state, overruled),
      undoneAt: host.clock.now(),
      ...(eventGone && { eventGone }),
      blockers: [],
      troubles: lost.reduce(withTrouble, state.troubles),
    },
    signal,
  );
  // Otherwise the next agent would resume the departure.
  if (!isKept) await forgetDeparture(host, signal);
  host.events.tell({ type: 'stayed', cause: state.cause, reason: why });
  host.log.info('stays', { cause: state.cause, why, active: containerInstance !== undefined });
  await host.machine.say(`ecs-node: stays: ${why}`);
  return true;
}

/**
 * The record that is made ACTIVE. ECS is believed only after a time that it has none: one list
 * without the record would leave the node DRAINING for ever. A departure without `drainedAt` may
 * have drained it as well: the answer was lost, or a kill came before the note.
 */
async function findDrained(
  host: Host,
  config: Config,
  { drainedAt }: DepartureState,
  signal: AbortSignal,
): Promise<ContainerInstanceRef | undefined> {
  const lastsMs = drainedAt === undefined ? noRecordLastsMs : drainedLastsMs;
  const lasts = openLasting(host.clock, lastsMs);
  const look = async (callSignal: AbortSignal) => {
    const found = await findContainerInstance(host, config, patienceMs, callSignal);
    if (found !== undefined) return { found };
    const { contradiction } = await readLocalSigns(host, config.cluster, callSignal);
    return lasts(contradiction === undefined) ? { found } : undefined;
  };
  const times = { clock: host.clock, signal, withinMs: lastsMs + patienceMs, everyMs: recordEveryMs };
  return (await poll('the record of this node', look, times)).found;
}

/**
 * Removes the marks of this departure, and of those that it took over from. With a mark that stays,
 * no sweep would make the node ACTIVE that a sweep has drained. Without `known`, the record is
 * looked up.
 */
async function removeMarks(
  host: Host,
  config: Config,
  known: ContainerInstanceRef | undefined,
  signal: AbortSignal,
): Promise<void> {
  try {
    const ref = known ?? (await findContainerInstance(host, config, marksMs, signal));
    if (ref === undefined) return;
    const read = (callSignal: AbortSignal) => host.cloud.readContainerInstance(ref.cluster, ref.arn, callSignal);
    const record = await callWithRetry(host, marksMs, signal, read);
    for (const reason of record?.queuedFor ?? [])
      if (!isQueueEntry(reason)) await removeFromQueue(host, ref, reason, signal);
  } catch (error) {
    signal.throwIfAborted();
    host.log.warn('the mark of the draining is not removed', { error: messageOf(error) });
  }
}

/** ECS carries out a late call within seconds. The second look is for one that takes longer. */
const lateLooksMs = [20_000, singleErrorMs];

/** ECS may be silent. Nobody else would make the node ACTIVE. */
const stayActiveMs = 3_600_000;

interface LateDraining {
  /** A call that sets DRAINING got no answer. */
  onLostDraining(): void;
  /** Call it after a departure was undone. It ends when a departure begins, which `signal` says. */
  watch(signal: AbortSignal): void;
}

/** Sets ACTIVE again where ECS carries out such a call after its departure was undone. */
export function openLateDraining(host: Host, config: Config, agentSignal: AbortSignal): LateDraining {
  let isNoted = false;
  const look = async (ms: number, signal: AbortSignal) => {
    await host.clock.sleep(ms, signal);
    const read = (callSignal: AbortSignal) => host.cloud.readContainerInstance(config.cluster, undefined, callSignal);
    const record = await callWithRetry(host, stayActiveMs, signal, read);
    if (record?.status !== 'DRAINING') return;
    host.log.warn('ECS drained this node late: it is made ACTIVE again');
    await resumePlacement(host, { cluster: config.cluster, arn: record.arn }, stayActiveMs, signal);
  };
  return {
    onLostDraining: () => void (isNoted = true),
    watch(begins) {
      if (!isNoted) return;
      isNoted = false;
      const signal = AbortSignal.any([agentSignal, begins]);
      for (const ms of lateLooksMs) void look(ms, signal).catch(() => {});
    },
  };
}

/** The losses that ACTIVE does not undo, each with its remedy. */
function whatIsLost(state: DepartureState, config: Config): string[] {
  const { leftBalancersAt, deregisteredAt } = irrevocableOf(state);
  return [
    ...(leftBalancersAt !== undefined && hasBalancers({ config })
      ? ['deregistered from its load balancers: register it there again']
      : []),
    ...(deregisteredAt !== undefined
      ? ['left its registrar: "systemctl restart ecs-node-bootstrap" registers it again, or replace the node']
      : []),
  ];
}
