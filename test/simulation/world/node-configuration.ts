/**
 * The configuration of a node, and the one that its agent uses. Each valid version has a number in
 * a setting that changes nothing else.
 */

import { settingsOf, type Config } from '../../../config/config.ts';
import { paths } from '../../../core/state/state.ts';
import type { FakeMachine } from '../../fakes/machine.ts';

/** The file of a node, and its agent's use of it. */
export interface NodeConfiguration {
  /** The version of the last valid file. */
  newest: number;
  isFaulty: boolean;
  booted: Config;
  /** A configuration that no agent may use, and that one used. */
  fault: string | undefined;
  /** The version that the agent uses. */
  used: number;
  /** True if the disk refused to store the last version as the last good one. */
  mayGoBack: boolean;
  /** Asks the agent to reload, as SIGHUP does. */
  reload: () => void;
  /** When it was asked to read the present file; Infinity if it was not. */
  askedAt: number;
  /** When the node was last leaving. */
  leftAt: number;
  /** When the agent last said that a file is faulty. */
  toldAt: number;
}

export function openConfiguration(config: Config, machine: FakeMachine): NodeConfiguration {
  machine.files.set(paths.config, textOf(config, 0));
  return {
    fault: undefined,
    booted: config,
    newest: 0,
    mayGoBack: false,
    isFaulty: false,
    used: 0,
    reload: () => {},
    askedAt: Infinity,
    leftAt: -Infinity,
    toldAt: -Infinity,
  };
}

/** JSON is YAML. */
export function textOf(config: Config, version: number): string {
  return JSON.stringify({ ...settingsOf(config), metrics: { ...config.metrics, namespace: `v${version}` } });
}

/** Called whenever an agent begins with a configuration. */
export function useConfig(configuration: NodeConfiguration, { cluster, registrar, metrics }: Config): void {
  const [, version = NaN] = /^v(\d+)$/.exec(metrics.namespace) ?? [];
  const { booted, used, newest, mayGoBack } = configuration;
  const isOwn = cluster === booted.cluster && registrar === booted.registrar;
  if (!isOwn || !((mayGoBack || Number(version) >= used) && Number(version) <= newest))
    configuration.fault ??= `uses ${cluster}, ${registrar}, ${metrics.namespace}; the versions are ${used} to ${newest}`;
  configuration.used = Number(version);
}
