/** The stack and the layer that a node belongs to. */

import { maybe, shaped, text } from '../shape.ts';

export interface OpsWorksTarget {
  /** As the configuration names them. */
  stack: string;
  layer: string;
  stackId: string;
  layerId: string;
  /** The host name that OpsWorks suggested. */
  suggested?: string;
}

export const isOpsWorksTarget = shaped<OpsWorksTarget>({
  stack: text,
  layer: text,
  stackId: text,
  layerId: text,
  suggested: maybe(text),
});
