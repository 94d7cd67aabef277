/** A sentence that must be true after every event. */

import type { Call } from '../effects.ts';
import type { Node } from '../world/node.ts';
import type { Region } from '../world/region.ts';

/** Each function returns what is wrong, or undefined. */
export interface Invariant {
  name: string;
  sentence: string;
  /** Before a call of this node takes effect. */
  onCall?(region: Region, node: Node, call: Call): string | undefined;
  /** After it did. */
  afterCall?(region: Region, node: Node, call: Call, result: unknown): string | undefined;
  /** After each event, for each node that is not gone. */
  afterEvent?(region: Region, node: Node): string | undefined;
  /** As an instance vanishes. */
  atDeath?(region: Region, node: Node): string | undefined;
  /** When it has been calm for long: for each node. */
  atEnd?(region: Region, node: Node): string | undefined;
}
