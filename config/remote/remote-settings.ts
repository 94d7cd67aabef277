/** Limits the settings that pulled documents may carry (docs/decisions/0009). */

import type { Fault } from '../../core/errors.ts';
import { isPlain, type SettingsLayer } from '../settings.ts';
import { schema } from '../schema.ts';

/**
 * Allowed: how a node watches, reports and leaves. Not allowed: programs that run (join.checks,
 * ecs.settings, daemonTasks), the node's identity and endpoints (cluster, registrar), and the
 * limits that keep a fleet from leaving all at once. One document reaches every node in the same
 * minute. `refresh.also` on the node itself adds to this list.
 */
export const remoteSettings = [
  'autoScaling.pollSeconds',
  'containerEnvironment',
  'disk.checkSeconds',
  'disk.checks',
  'disk.clearPercent',
  'disk.fullPercent',
  'disk.leave',
  'disk.paths',
  'disk.prune',
  'ecsAgent.action',
  'ecsAgent.patienceSeconds',
  'ecsAgent.pollSeconds',
  'ecsAgent.restarts',
  'join.timeoutSeconds',
  'leave',
  'maintenance',
  'metrics.enabled',
  'metrics.everySeconds',
  'metrics.namespace',
  'metrics.perInstance',
  'ports',
  'rebalance',
  'spot',
  'terminationProtection',
] as const;

/** True when a document may set the path. `also` comes from the node's own files. */
export function mayBePulled(path: readonly string[], also: readonly string[]): boolean {
  return [...remoteSettings, ...also].some((each) => `${path.join('.')}.`.startsWith(`${each}.`));
}

/**
 * One fault for each setting that the layer may not carry. The schema reports names that are no
 * settings.
 */
export function faultsOfRemote(layer: SettingsLayer, also: readonly string[]): Fault[] {
  const known = Object.entries(layer.settings).filter(([key]) => Object.hasOwn(schema.shape, key));
  return known
    .flatMap(([key, value]) => leavesOf([key], value))
    .filter((path) => !mayBePulled(path, also))
    .map((path) => ({
      path: path.join('.'),
      problem: `may not be set from outside the node, since one document reaches every node; ${remedyFor(path[0])}`,
      source: layer.sourceOf(path),
    }));
}

function remedyFor(section: string | undefined): string {
  return section === 'refresh'
    ? 'set it on the node itself'
    : 'set it on the node itself, or name it there in refresh.also';
}

function leavesOf(path: readonly string[], value: unknown): (readonly string[])[] {
  if (value === null) return [];
  if (!isPlain(value)) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf([...path, key], inner));
}
