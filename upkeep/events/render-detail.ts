/** The detail of an event, in bounded size and without secrets. Pure. */

import { eventVersion } from '../../core/events/event-source.ts';
import type { NodeEvent } from '../../core/events/event-schema.ts';
import type { Identity } from '../../core/identity.ts';
import { redact } from '../../core/secrets.ts';
import { version } from '../../core/version.ts';

/** EventBridge takes 256 KB for one call. With these limits a detail stays below 100 kB. */
const maxText = 500;
const maxItems = 50;

export interface EventOrigin {
  id: string;
  /** Milliseconds since 1970. */
  at: number;
  cluster: string;
  identity: Identity;
}

export function renderDetail(event: NodeEvent, { id, at, cluster, identity }: EventOrigin): Record<string, unknown> {
  const { type: _type, ...own } = event;
  const { instanceId, zone, instanceType, imageId } = identity;
  return {
    version: eventVersion,
    id,
    at: new Date(at).toISOString(),
    cluster,
    instanceId,
    zone,
    instanceType,
    imageId,
    program: version ?? 'source',
    ...(bounded(own) as Record<string, unknown>),
  };
}

function bounded(value: unknown): unknown {
  if (typeof value === 'string') return shorten(redact(value));
  // The first ones and the last: a list of failures is about how they began and how they ended.
  if (Array.isArray(value))
    return (value.length > maxItems ? [...value.slice(0, maxItems - 1), ...value.slice(-1)] : value).map(bounded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => each !== undefined)
      .map(([key, each]) => [key, bounded(each)]),
  );
}

/** Half a character at the cut would be no text. */
function shorten(text: string): string {
  return text.length <= maxText ? text : `${text.slice(0, maxText - 1).toWellFormed()}…`;
}
