/** The parts that every act has: clients, launched nodes, verdicts. */

import type { Clients, Waiting } from './clients.ts';
import type { GroupFacts } from './group.ts';
import type { ActName, Options } from './options.ts';

export interface Verdict {
  act: ActName;
  check: string;
  state: 'good' | 'BAD' | 'skipped';
  seconds: number;
  detail: string;
}

export interface Scene {
  clients: Clients;
  options: Options;
  group: GroupFacts;
  waiting: Waiting;
  /** The nodes that it launched and that are still there. Acts touch no other node. */
  own: string[];
  /** Launched nodes that an act has ended; their group may list them for a while. */
  ended: Set<string>;
  /** Good if the work returns undefined, else bad with the returned reason. */
  judge(check: string, work: () => Promise<string | undefined>): Promise<boolean>;
  skip(check: string, why: string): void;
}

export type Act = (scene: Scene) => Promise<void>;

type Stage = Pick<Scene, 'clients' | 'options' | 'group' | 'waiting' | 'own' | 'ended'>;

export function openScene(stage: Stage, act: ActName, add: (verdict: Verdict) => void): Scene {
  return {
    ...stage,
    async judge(check, work) {
      const began = performance.now();
      const why = await work().catch((error: unknown) => {
        stage.waiting.signal.throwIfAborted();
        return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      });
      const seconds = (performance.now() - began) / 1000;
      add({ act, check, state: why === undefined ? 'good' : 'BAD', seconds, detail: why ?? '' });
      return why === undefined;
    },
    skip: (check, why) => add({ act, check, state: 'skipped', seconds: 0, detail: why }),
  };
}

export function renderVerdict({ act, check, state, seconds, detail }: Verdict): string {
  const time = state === 'skipped' ? '' : `${seconds.toFixed(1)} s`;
  return `${state.padEnd(8)}${act.padEnd(12)}${check.padEnd(44)}${time.padStart(9)}  ${detail}`.trimEnd();
}
