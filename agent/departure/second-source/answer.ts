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
  /** The source says so of healthy nodes too, for some seconds, so it must say it for longer. */
  isBrief?: true;
  /** The node's reason is void, whatever the second source says next. */
  isVoid?: true;
}
