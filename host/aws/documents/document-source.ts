/** A source of configuration documents: parameters of Systems Manager, or a bucket. */

import type { RemoteDocument } from '../../../core/host.ts';

export interface DocumentSource {
  read(known: Readonly<Record<string, string>>, signal: AbortSignal): Promise<RemoteDocument[]>;
  destroy(): void;
}
