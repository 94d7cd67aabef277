/**
 * The contract of a registrar, with which a node registers so that its team can reach it.
 * registrars.ts lists the implementations.
 */

import type { Config } from '../../config/config.ts';
import type { Host } from '../../core/host.ts';
import type { Registered } from '../../core/state/state.ts';
import type { StepOutcome, BootstrapContext } from '../step.ts';

export interface Registrar {
  /**
   * Finds what the configuration names, before anything changes, and sets
   * `context.registrarTarget`. Throws ConfigError when AWS does not have it.
   */
  prepare?(host: Host, config: Config, context: BootstrapContext, signal: AbortSignal): Promise<void>;
  /** The host name of a node whose configuration gives none; by default the one that EC2 gave. */
  suggestHostname?(host: Host, context: BootstrapContext, signal: AbortSignal): Promise<string>;
  /** True when the node is registered somewhere else than where `prepare` found. */
  isElsewhere?(registered: Registered, context: BootstrapContext): boolean;
  /** Sets `context.registered`, and saves it before AWS may have made a record. Idempotent. */
  register(host: Host, config: Config, context: BootstrapContext, signal: AbortSignal): Promise<StepOutcome>;
  /** For a registrar where registration alone is not enough. Idempotent. */
  assign?(host: Host, config: Config, context: BootstrapContext, signal: AbortSignal): Promise<StepOutcome>;
  /**
   * Removes the node's record. Idempotent; the signal limits its time. When it throws, the node
   * goes on, and tries again later.
   */
  deregister(host: Host, registered: Registered, signal: AbortSignal): Promise<void>;
}
