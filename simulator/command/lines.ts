/** Renders one line for a person, for each call and for each change of the world. */

import type { Call } from '../calls.ts';
import type { WorldEvent } from '../world/state.ts';

export function renderCall({ at, service, operation, instanceId, params, outcome, ms }: Call): string {
  const label = (instanceId ?? 'operator').padEnd(19);
  const mark = outcome === 'ok' ? '' : `  → ${outcome}`;
  return `${time(at)}  ${label}  ${service}:${operation}${mark}${summary(params)}  ${ms} ms`;
}

export function renderEvent(at: number, event: WorldEvent): string | undefined {
  const [label, what] = describe(event);
  return what === undefined ? undefined : `${time(at)}  ${label.padEnd(19)}  · ${what}`;
}

function describe(event: WorldEvent): [string, string | undefined] {
  switch (event.kind) {
    case 'instance':
      return [event.instance.id, `instance ${event.state}${event.reason === '' ? '' : ` (${event.reason})`}`];
    case 'member':
      return [event.member.instanceId, `${event.group.name}: ${event.state}`];
    case 'container-instance':
      return [event.instance.instanceId, `${event.cluster.name}: container instance ${event.state}`];
    case 'task': {
      const { group, containerInstance, arn } = event.task;
      return [containerInstance.instanceId, `${group} ${arn.split('/').at(-1)!.slice(0, 8)} ${event.state}`];
    }
    case 'registration':
      return [event.registration.instanceId, `OpsWorks: ${event.registration.hostname} ${event.state}`];
    case 'notice':
      return [event.instanceId, event.state];
  }
}

const time = (at: number) => new Date(at).toISOString().slice(11, 23);

const longest = 160;

/** Renders `DisableApiTermination.Value=false` …, and cuts a long text. */
function summary(params: Record<string, unknown>): string {
  const text = flatten('', params).join(' ');
  if (text === '') return '';
  return `  ${text.length > longest ? `${text.slice(0, longest - 1)}…` : text}`;
}

function flatten(path: string, value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((each) => typeof each !== 'object')) return [`${path}=${value.join(',')}`];
  if (typeof value === 'string') return [`${path}=${value.replaceAll(/\s+/g, ' ')}`];
  if (typeof value !== 'object') return [`${path}=${JSON.stringify(value)}`];
  return Object.entries(value).flatMap(([key, each]) => flatten(path === '' ? key : `${path}.${key}`, each));
}
