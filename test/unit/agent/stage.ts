/** A node in service on a fake host, with its agent running or ready to leave. */

import { vi } from 'vitest';
import { runAgent, type AgentOptions } from '../../../agent/agent.ts';
import { runDeparture } from '../../../agent/departure/leave.ts';
import type { AgentStatus } from '../../../agent/status.ts';
import type { Order } from '../../../agent/watching/watcher.ts';
import { parseConfig, type Config } from '../../../config/config.ts';
import type { Host } from '../../../core/host.ts';
import {
  paths,
  renderState,
  type BootstrapState,
  type DepartureState,
  type Registered,
  type OperatorRequest,
} from '../../../core/state/state.ts';
import { someHook, type FakeGroup } from '../../fakes/cloud/group.ts';
import type { FakeContainerInstance } from '../../fakes/cloud/cluster.ts';
import { openFakeHost, type Overrides, type World } from '../../fakes/host.ts';
import { someDisk } from '../../fakes/machine.ts';
import { seeded } from '../../fakes/random.ts';

export const never: AbortSignal = new AbortController().signal;

export const configOf = (more: Record<string, unknown> = {}): Config =>
  parseConfig({
    cluster: 'demo',
    autoScaling: { launchHook: 'launch', terminateHook: 'terminate' },
    metrics: { enabled: false },
    ...more,
  });

/** Asks less often, where it does not matter how soon: tests that last for hours. */
export const lazily = (more: Record<string, unknown> = {}): Config =>
  configOf({
    autoScaling: { launchHook: 'launch', terminateHook: 'terminate', pollSeconds: 30 },
    spot: { pollSeconds: 30 },
    rebalance: { pollSeconds: 60 },
    ...more,
  });

export const someOrder = (more: Partial<Order> = {}): Order => ({
  cause: 'disk',
  reason: 'disk full: / 95 %',
  ending: 'terminate',
  ...more,
});

/** The verbs that change something, in order. */
const deeds = new Set([
  'drain',
  'activate',
  'stopTask',
  'queueToLeave',
  'unqueue',
  'deregisterTarget',
  'deregisterFromLoadBalancer',
  'tagSelf',
  'completeHook',
  'terminateInGroup',
  'reportUnhealthy',
  'terminateSelf',
  'powerOff',
  'publish',
  'deregister',
  'removeImage',
  'restartUnit',
  'clearTerminationProtection',
  'run',
]);

export interface Stage {
  host: Host;
  world: World;
  config: Config;
  own: FakeContainerInstance;
  group: FakeGroup;
  /** Registrations that were left. */
  deregistered: Registered[];
  deregister: AgentOptions['deregister'];
  deeds(): string[];
  departure(): DepartureState;
  status(): AgentStatus;
  leaves(order?: Partial<Order>, host?: Host, signal?: AbortSignal): Promise<DepartureState>;
  /** The second source of such a departure agrees with it (agent/departure/confirm.ts). */
  agrees(order?: Partial<Order>): void;
  agent(
    host?: Host,
    options?: Partial<AgentOptions>,
  ): { done: Promise<DepartureState | undefined>; stop(): Promise<void> };
  /** The next agent, with another configuration. */
  agentWith(config: Config, host?: Host): { done: Promise<DepartureState | undefined>; stop(): Promise<void> };
  fillDisk(percent: number): void;
}

export function setStage(config: Config = configOf(), overrides: Overrides = {}): Stage {
  vi.spyOn(Math, 'random').mockImplementation(seeded());
  const { host, world, clock } = openFakeHost({ bus: config.events.bus, ...overrides });
  const own = world.joinCluster();
  const group = world.joinGroup('web');
  group.hooks = [someHook('launch', 'launch'), someHook('terminate', 'terminate')];
  world.metadata.targetState = 'InService';
  const registered: Registered = { registrar: 'opsworks', id: 'record-1' };
  const { instanceId } = world.identity;
  world.machine.files.set(
    paths.bootstrap,
    renderState({ instanceId, startedAt: 0, attempts: 1, outcome: 'done', steps: [], registered }),
  );
  const deregistered: Registered[] = [];
  const deregister: AgentOptions['deregister'] = async (on, what) => {
    // Stands in the list of calls, between those of the clouds.
    await on.cloud.close();
    if (!deregistered.some(({ id }) => id === what.id)) deregistered.push(what);
  };
  const run = (own: Config, on: Host, options: Partial<AgentOptions>) => {
    const controller = new AbortController();
    const done = runAgent(on, own, { deregister, ...options }, controller.signal);
    done.catch(() => {});
    return {
      done,
      async stop() {
        controller.abort(new Error('told to stop'));
        await clock.finish(
          done.then(
            () => {},
            () => {},
          ),
          60_000,
        );
      },
    };
  };
  const parse = <T>(path: string): T => JSON.parse(String(world.machine.files.get(path) ?? 'null')) as T;
  const stage: Stage = {
    host,
    world,
    config,
    own,
    group,
    deregistered,
    deregister,
    deeds: () =>
      world.calls.list.map(({ verb }) => (verb === 'close' ? 'deregister' : verb)).filter((verb) => deeds.has(verb)),
    departure: () => parse<DepartureState>(paths.departure),
    status: () => parse<AgentStatus>(paths.agent),
    leaves(order = {}, on = host, signal = never) {
      stage.agrees(order);
      return clock.finish(runDeparture(on, config, someOrder(order), { deregister }, signal));
    },
    agrees(order = {}) {
      const { cause, key, reason } = someOrder(order);
      if (cause === 'disk') {
        own.attributes.set('ecs-node.leave.disk', '1');
        stage.fillDisk(97);
      }
      if (cause === 'spot') world.metadata.spotNotice ??= { action: 'terminate', at: clock.now() + 120_000 };
      const request: OperatorRequest = {
        instanceId,
        id: key ?? 'any',
        action: 'leave',
        reason,
        terminate: true,
        at: 0,
      };
      if (cause === 'operator') world.machine.files.set(paths.request, renderState(request));
    },
    agent: (on = host, options = {}) => run(config, on, options),
    agentWith: (other, on = host) => run(other, on, {}),
    fillDisk(percent) {
      for (const path of ['/', '/var/lib/docker']) world.machine.disks.set(path, someDisk(path, percent));
    },
  };
  return stage;
}

/** The bootstrap of this boot is done. The instance's first boot may be another one. */
export function bootedFirst({ world }: Pick<Stage, 'world'>, firstBootId = world.machine.bootId): void {
  const { bootId } = world.machine;
  const before: unknown = JSON.parse(String(world.machine.files.get(paths.bootstrap)));
  world.machine.files.set(paths.bootstrap, renderState({ ...(before as BootstrapState), firstBootId, bootId }));
}
