/**
 * What the judge knows of each watcher, kept for the next process, and what follows from all of it
 * together.
 */

import type { Cause } from '../../core/state/state.ts';
import { strictest } from '../departure/order.ts';
import { blank, resumed, type Memory } from './judge.ts';
import type { StatusBook } from '../status.ts';
import type { Order, Watcher } from './watcher.ts';

export interface Memories {
  recall(name: Watcher['name']): Memory;
  /** What was done, which the next process must know. */
  remember(name: Watcher['name'], memory: Memory): void;
  /** What was seen, which is written along with the rest. */
  note(name: Watcher['name'], memory: Memory): void;
  all(): Record<string, Memory>;
  /** An order that comes from no watcher. */
  add(order: Order): void;
  /** Forgets those orders. */
  clearAdded(): void;
  /** What is wanted of the node by all together; undefined: to stay. */
  wanted(): Order | undefined;
  /**
   * The treatment of another watcher keeps the node out of service: that one will bring it back
   * itself.
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
  return {
    recall,
    remember(name, memory) {
      memories.set(name, memory);
      book.change((status) => ({ ...status, memories: Object.fromEntries(memories) }));
    },
    note: (name, memory) => void memories.set(name, memory),
    all: () => Object.fromEntries(memories),
    add: (order) => void added.set(order.cause, order),
    clearAdded: () => added.clear(),
    wanted() {
      const wishes = [...memories].flatMap(([name, { wish }]) =>
        // The one watcher that is no cause never wishes to leave.
        wish === undefined || name === 'termination-protection' ? [] : [{ ...wish, cause: name }],
      );
      return strictest([...wishes, ...added.values()]);
    },
    isTreatedByOther: (than) =>
      watchers.some(({ name, drains }) => {
        const { attempts, excused } = recall(name);
        // Called off, it has been undone already, and its watcher brings nothing back any more.
        return name !== than && drains === true && attempts > 0 && excused !== true;
      }),
  };
}
