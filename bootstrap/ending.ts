/** Decides what a bootstrap's failure means for the node. */

import type { Config } from '../core/config.ts';
import { isDenied, Refused, StepError, Unavailable } from '../core/errors.ts';

export type Ending =
  /** Nothing but a person can help: end with the error's exit code and keep the node. */
  | 'operator'
  /** Time may heal: end with exit code 75; systemd runs the bootstrap again. */
  | 'retry-later'
  /** AWS or the registrar has decided: leave no trace and make room for another node. */
  | 'for-good';

/**
 * Only a refusal costs a node its life; a bug of ours, a silent AWS or a wrong configuration never does. Nor does a missing
 * permission: the next node would lack it too, and a team that tries this program with its old role must not lose its nodes.
 */
export function judgeFailure(error: unknown, config: Config): Ending {
  if (error instanceof StepError) return judgeFailure(error.cause, config);
  if (error instanceof Unavailable) return 'retry-later';
  if (isDenied(error)) return 'operator';
  if (error instanceof Refused) return config.bootstrap.onFailure === 'terminate' ? 'for-good' : 'operator';
  return 'operator';
}
