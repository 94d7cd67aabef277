/**
 * The form of a sweep's note: a tag of the Auto Scaling group, for people to read as well. A node's
 * role cannot write a group's tags, so no node can forge a note. Pure.
 */

import { noteKinds, type FleetNote } from './fleet-nodes.ts';

/** Followed by the instance id. A policy allows the sweep these keys only. */
export const noteTagPrefix = 'ecs-node:sweep:';

/**
 * Such as `ecs-node:sweep:i-0123456789abcdef0` = `disconnected since 2026-11-30T21:00:00.000Z`. A
 * note that a later run renewed ends with `, seen` and that run's time.
 */
export function renderNote({ instanceId, kind, since, seen }: FleetNote): { key: string; value: string } {
  const renewed = seen === undefined ? '' : `, seen ${new Date(seen).toISOString()}`;
  return { key: noteTagPrefix + instanceId, value: `${kind} since ${new Date(since).toISOString()}${renewed}` };
}

const time = String.raw`(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)`;
const form = new RegExp(`^([a-z]+) since ${time}(?:, seen ${time})?$`);

/** Undefined if the tag is no note, or is not in this exact form. */
export function parseNote(group: string, key: string, value: string): FleetNote | undefined {
  const [, word, begin = '', last = begin] = form.exec(value) ?? [];
  const kind = noteKinds.find((each) => each === word);
  const [since, seen] = [Date.parse(begin), Date.parse(last)];
  if (!key.startsWith(noteTagPrefix) || kind === undefined || Number.isNaN(since + seen)) return undefined;
  return { instanceId: key.slice(noteTagPrefix.length), group, kind, since, ...(last !== begin && { seen }) };
}
