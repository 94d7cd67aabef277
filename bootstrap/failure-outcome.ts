/** Decides what a bootstrap's failure means for the node. */

import type { Config } from '../config/config.ts';
import { Refused, StepError, Unavailable, Unfit } from '../core/errors.ts';

export type FailureOutcome =
  /**
   * Only an edited configuration, or an update, helps: end with the error's exit code and keep the
   * node.
   */
  | 'operator'
  /**
   * A person can mend it in AWS: keep the node, say what is missing, and try again now and then.
   */
  | 'retry-slowly'
  /** Time may heal it: end with exit code 75, and systemd runs the bootstrap again. */
  | 'retry-later'
  /** The node lacks something essential: leave no trace and make room for another node. */
  | 'for-good';

/**
 * Only `Unfit` costs a node its life, which only a lack of something in core/essentials.ts can be.
 * A refusal of anything else would meet the next node as well: a team that tries this program with
 * its old role must not lose its nodes.
 */
export function judgeFailure(error: unknown, config: Config): FailureOutcome {
  if (error instanceof StepError) return judgeFailure(error.cause, config);
  if (error instanceof Unavailable) return 'retry-later';
  if (error instanceof Refused) return 'retry-slowly';
  if (error instanceof Unfit) return config.bootstrap.onFailure === 'terminate' ? 'for-good' : 'operator';
  return 'operator';
}
