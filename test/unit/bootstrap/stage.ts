/** A node on a fake host, ready to be bootstrapped. */

import { vi } from 'vitest';
import { bootstrap } from '../../../bootstrap/bootstrap.ts';
import { parseConfig, type Config } from '../../../config/config.ts';
import type { Host } from '../../../core/host.ts';
import { paths, type BootstrapState } from '../../../core/state/state.ts';
import { seeded } from '../../fakes/random.ts';
import { openFakeHost, type Overrides, type World } from '../../fakes/host.ts';

export const stackId = '11111111-1111-4111-8111-111111111111';
export const layerId = '22222222-2222-4222-8222-222222222222';

export const signal: AbortSignal = new AbortController().signal;

export const opsworksConfig = (more: Record<string, unknown> = {}): Config =>
  parseConfig({ cluster: 'demo', registrar: 'opsworks', opsworks: { stack: stackId, layer: 'ecs' }, ...more });

export const plainConfig = (more: Record<string, unknown> = {}): Config => parseConfig({ cluster: 'demo', ...more });

export interface Stage {
  host: Host;
  world: World;
  config: Config;
  /** Bootstraps and moves time until it ended. */
  boot(host?: Host): Promise<BootstrapState>;
  /** As `boot`, for a bootstrap that fails. */
  fail(host?: Host): Promise<Error & { cause?: unknown }>;
  state(): BootstrapState;
}

export function setStage(config: Config, overrides: Overrides = {}): Stage {
  // Jitter that is the same on every run: crash points are counted.
  vi.spyOn(Math, 'random').mockImplementation(seeded());
  const { host, world, clock } = openFakeHost(overrides);
  const stage: Stage = {
    host,
    world,
    config,
    boot: (on = host) => clock.finish(bootstrap(on, stage.config, signal)),
    fail: (on = host) =>
      stage.boot(on).then(
        () => {
          throw new Error('it should have failed');
        },
        (error: Error) => error,
      ),
    state: () => JSON.parse(String(world.machine.files.get(paths.bootstrap))) as BootstrapState,
  };
  return stage;
}

/** The result of a bootstrap, without times and attempts. */
export function traces(world: World): unknown {
  const files = [...world.machine.files].filter(([path]) => path !== paths.bootstrap);
  const state = JSON.parse(String(world.machine.files.get(paths.bootstrap) ?? 'null')) as BootstrapState | null;
  return {
    files: Object.fromEntries(files),
    tags: world.instance.tags,
    protection: world.instance.terminationProtection,
    records: world.opsworks.records,
    outcome: state?.outcome,
    hostname: state?.hostname,
    registered: state?.registered,
    steps: state?.steps.map(({ name, state: outcome }) => [name, outcome === 'unchanged' ? 'changed' : outcome]),
  };
}
