/** What a part of the benchmark is given, and what it gives back. */

export interface BenchOptions {
  /** Absolute path of ecs-node. */
  binary: string;
  /** How long the agent is watched. */
  minutes: number;
  /** How often a bootstrap is repeated on each side. */
  rounds: number;
  /** How many spot notices. */
  notices: number;
  /** How many nodes a storm has; none: as bench/README.md tells. */
  nodes: readonly number[];
  /** Decides a storm. */
  seed: number;
  /** Acts of a storm; none: all. */
  only: readonly string[];
  /** Also the acts of a storm that take minutes of CPU time. */
  long: boolean;
  /** False for a quick look, of which nothing is written down. */
  keep: boolean;
  /** For people who wait. */
  say(text: string): void;
}

/** Tables by the name of their section in bench/README.md; the first row is the head. */
export type Tables = Record<string, string[][]>;

export type Part = (circumstances: BenchOptions) => Promise<Tables>;
