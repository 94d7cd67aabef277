/** The input and output of a part of the benchmark. */

export interface BenchOptions {
  /** The absolute path of ecs-node. */
  binary: string;
  /** How long the agent is measured. */
  minutes: number;
  /** How often each side repeats a bootstrap. */
  rounds: number;
  /** The number of spot notices. */
  notices: number;
  /** The numbers of nodes of a storm; empty means those in bench/results. */
  nodes: readonly number[];
  /** The seed of a storm. */
  seed: number;
  /** The acts of a storm; empty means all. */
  only: readonly string[];
  /** Also runs the acts of a storm that take minutes of CPU time. */
  long: boolean;
  /** False for a quick look that writes nothing. */
  keep: boolean;
  /** Prints progress for the waiting user. */
  say(text: string): void;
}

/** Tables by the name of their section in bench/results; the first row is the head. */
export type Tables = Record<string, string[][]>;

export type Part = (circumstances: BenchOptions) => Promise<Tables>;
