/** A sentence that must hold after every event. */

import type { Call } from '../effects.ts';
import type { Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';

/** Each function returns a description of the violation, or undefined. */
export interface Invariant {
  name: string;
  sentence: string;
  /** Called before a call of this node takes effect. */
  onCall?(region: Region, node: Node, call: Call): string | undefined;
  /** Called after the effect. */
  afterCall?(region: Region, node: Node, call: Call, result: unknown): string | undefined;
  /** Called after each event, for each node that is not gone. */
  afterEvent?(region: Region, node: Node): string | undefined;
  /** Called when an instance vanishes. */
  atDeath?(region: Region, node: Node): string | undefined;
  /** Called for each node after a long calm. */
  atEnd?(region: Region, node: Node): string | undefined;
}
