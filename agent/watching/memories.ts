/** The judge's memory of each watcher, kept for the next process, and the orders in them. */

import { isCause, type Cause, type DepartureState } from '../../core/state/state.ts';
import { asked, blank, dismissedKeys, resumed, type Memory } from './judge.ts';
import { mayOverrule } from '../departure/order.ts';
import type { StatusBook } from '../status.ts';
import type { Order, Watcher } from './watcher.ts';

export interface Memories {
  recall(name: Watcher['name']): Memory;
  /** Stores an action, which the next process must know, and saves it. */
  remember(name: Watcher['name'], memory: Memory): void;
  /** Stores an observation, which is saved with the next change. */
  note(name: Watcher['name'], memory: Memory): void;
  /** Saves what the next process must know about the second source of this order. */
  rememberAsked(state: DepartureState): void;
  all(): Record<string, Memory>;
  /** Adds an order that comes from no watcher. */
  add(order: Order): void;
  /** Removes the added orders; with a cause, only that one. */
  clearAdded(cause?: Cause): void;
  /** The orders that stand; empty: stay. */
  wanted(): readonly Order[];
  /** The keys of all events that were called off, except those of one watcher. */
  overruled(except?: Watcher['name']): readonly string[];
  /**
   * Whether another watcher's treatment keeps the node out of service. That watcher will bring it
   * back itself.
   */
  isTreatedByOther(than: Watcher['name']): boolean;
}

export function openMemories(watchers: readonly Watcher[], book: StatusBook): Memories {
  const saved = book.read().memories;
  const memories = new Map<Watcher['name'], Memory>(
    watchers.map(({ name }) => [name, saved[name] === undefined ? blank : resumed(saved[name])]),
  );
  const added = new Map<Cause, Order>();
  const recall = (name: Watcher['name']): Memory => memories.get(name) ?? blank;
  const remember = (name: Watcher['name'], memory: Memory) => {
    memories.set(name, memory);
    book.change((status) => ({ ...status, memories: Object.fromEntries(memories) }));
  };
  return {
    recall,
    remember,
    rememberAsked({ cause, key, uptimes, spotDeniedAt }) {
      const memory = recall(cause);
      const next = asked(memory, key, { askedSince: uptimes?.cause, spotDeniedAt });
      if (next !== memory) remember(cause, next);
    },
    note: (name, memory) => void memories.set(name, memory),
    all: () => Object.fromEntries(memories),
    add: (order) => void added.set(order.cause, order),
    clearAdded: (cause) => void (cause === undefined ? added.clear() : added.delete(cause)),
    wanted() {
      const wishes = [...memories].flatMap(([name, { wish }]) =>
        wish === undefined || !isCause(name) ? [] : [{ ...wish, cause: name }],
      );
      return [...wishes, ...added.values()];
    },
    overruled: (except) =>
      [...memories].flatMap(([name, memory]) => (name !== except && mayOverrule(name) ? dismissedKeys(memory) : [])),
    isTreatedByOther: (than) =>
      watchers.some(({ name, drains }) => {
        const { attempts, excused, denied } = recall(name);
        // A treatment that was called off is already undone, and its watcher will not bring the
        // node back again.
        return name !== than && drains === true && attempts > 0 && excused !== true && denied === undefined;
      }),
  };
}
