/** Decides how the node reacts when its bootstrap fails. */

import type { Config } from '../config/config.ts';
import { Refused, StepError, Unavailable, Unfit } from '../core/errors.ts';

export type FailureOutcome =
  /**
   * Only an edited configuration or an update helps: exit with the error's code and keep the node.
   */
  | 'operator'
  /** A person can fix it in AWS: keep the node, report what is missing, and retry now and then. */
  | 'retry-slowly'
  /** It may pass by itself: exit with code 75, so that systemd runs the bootstrap again. */
  | 'retry-later'
  /** The node lacks something essential: remove its records and make room for another node. */
  | 'for-good';

/**
 * Only `Unfit` terminates a node, and only a lack of something in core/essentials.ts raises it. Any
 * other refusal would meet the replacement as well. A team that tries this program with an old role
 * must not lose its nodes.
 */
export function judgeFailure(error: unknown, config: Config): FailureOutcome {
  if (error instanceof StepError) return judgeFailure(error.cause, config);
  if (error instanceof Unavailable) return 'retry-later';
  if (error instanceof Refused) return 'retry-slowly';
  if (error instanceof Unfit) return config.bootstrap.onFailure === 'terminate' ? 'for-good' : 'operator';
  return 'operator';
}
