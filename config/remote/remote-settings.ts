/** What documents that are pulled from elsewhere may set (docs/decisions/0009). */

import type { Fault } from '../../core/errors.ts';
import { isPlain, type SettingsLayer } from '../settings.ts';
import { schema } from '../schema.ts';

/**
 * How a node watches, tells and behaves when it leaves. Not what runs (join.checks, ecs.settings,
 * daemonTasks), not who the node is or whom it asks (cluster, registrar, endpoints), and not the
 * brakes that keep a fleet from leaving at once: whoever can write one document reaches every node
 * with it, in the same minute. `refresh.also` on the node itself adds to them.
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
  'metrics',
  'ports',
  'rebalance',
  'spot',
  'terminationProtection',
] as const;

/** Whether documents may set it, where the node's own files add `also`. */
export function mayBePulled(path: readonly string[], also: readonly string[]): boolean {
  return [...remoteSettings, ...also].some((each) => `${path.join('.')}.`.startsWith(`${each}.`));
}

/**
 * One fault for each setting that the layer may not carry; what is no setting at all is left to the
 * schema.
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
