/** The answer of a second source. */

/**
 * The second source's answer. `undefined`: it did not answer, or this role may not ask it. That is
 * no reason to terminate anything.
 */
export interface Answer {
  agrees: boolean | undefined;
  words: string;
  /** EC2 answered that it does not take this instance. */
  deniesSpot?: true;
  /** The source may say so of a healthy node for a moment, so it must agree for this long. */
  lastsMs?: number;
  /** The node's reason is void, whatever the second source says next. */
  isVoid?: true;
}
