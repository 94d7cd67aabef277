/** EventBridge: one event in one call. */

import { EventBridgeClient, PutEventsCommand, type PutEventsResponse } from '@aws-sdk/client-eventbridge';
import { Refused } from '../../core/errors.ts';
import { eventSource } from '../../core/events/event-source.ts';
import type { EventsCloud } from '../../core/host.ts';
import type { Session } from './session/session.ts';

export function openEvents({ callAws, settings }: Session): EventsCloud & { destroy(): void } {
  const client = new EventBridgeClient(settings('EVENTBRIDGE'));
  return {
    destroy: () => client.destroy(),
    async putEvent(bus, { type, at, detail }, signal) {
      const entry = {
        EventBusName: bus,
        Source: eventSource,
        DetailType: type,
        Time: new Date(at),
        Detail: JSON.stringify(detail),
      };
      await callAws('events:PutEvents', `event bus ${bus}`, signal, async (options) =>
        mustBeAccepted(await client.send(new PutEventsCommand({ Entries: [entry] }), options), bus),
      );
    },
  };
}

/** Codes of an entry that a later try may pass. They come with status 200. */
const passing = /^(Throttling(Exception)?|Internal(Failure|Exception|Error)|ServiceUnavailable(Exception)?)$/;

/** EventBridge answers 200 where it has refused the entry. */
export function mustBeAccepted({ FailedEntryCount = 0, Entries = [] }: PutEventsResponse, bus: string): void {
  const [entry] = Entries;
  if (FailedEntryCount === 0 && entry?.EventId !== undefined) return;
  const code = entry?.ErrorCode;
  const message = entry?.ErrorMessage ?? 'no event id in the answer';
  if (code !== undefined && !passing.test(code))
    throw new Refused(`events:PutEvents on event bus ${bus}: ${message} (${code})`, { code });
  throw Object.assign(new Error(message), { name: code ?? 'InternalFailure', $metadata: { httpStatusCode: 200 } });
}
