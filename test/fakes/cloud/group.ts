/** An Auto Scaling group whose hooks begin, time out and end as the real ones do. */

import { Refused, Unavailable } from '../../../core/errors.ts';
import type { GroupCloud, LifecycleHook, ScalingActivity } from '../../../core/host.ts';
import type { FakeClock } from '../clock.ts';
import type { FakeInstance } from './instance.ts';

export interface FakeHook extends LifecycleHook {
  /** True while the hook waits for heartbeats and its completion. */
  active: boolean;
  /** The uptime at which it times out, while active. */
  timesOutAt?: number;
  /** The uptime at which it times out despite heartbeats. */
  endsAt?: number;
  /** How the hook ended. */
  ended?: 'CONTINUE' | 'ABANDON' | 'timeout';
}

export interface FakeGroup {
  name: string;
  lifecycleState: string;
  protectedFromScaleIn: boolean;
  healthy: boolean;
  hooks: FakeHook[];
  activities: ScalingActivity[];
  /** How long the group takes to terminate an instance with the health status Unhealthy. */
  replacesAfterMs: number;
  /** How long after a hook's start AWS still answers "No active Lifecycle Action found". */
  hookLagMs: number;
  /** Set while the instance returns to the warm pool. */
  returnsTo?: PoolState;
  /** Begins a launch (Pending) or a termination (Terminating), with its hooks. */
  begin(transition: 'launch' | 'terminate'): void;
  /**
   * A scale-in with an instance reuse policy. AWS's guide "Use lifecycle hooks with a warm pool":
   * the instance pauses in Warmed:Pending:Wait for the hooks of EC2_INSTANCE_TERMINATING.
   * `transition` plays a group that waits for other hooks there.
   */
  beginReturn(pool: PoolState, transition?: 'launch' | 'terminate'): void;
}

type PoolState = 'Stopped' | 'Running' | 'Hibernated';

export function someHook(
  name: string,
  transition: 'launch' | 'terminate',
  more: Partial<LifecycleHook> = {},
): FakeHook {
  return {
    name,
    transition,
    heartbeatSeconds: 300,
    globalSeconds: 30_000,
    defaultResult: 'ABANDON',
    active: false,
    ...more,
  };
}

export function openFakeGroup(clock: FakeClock, instance: FakeInstance, name = 'web'): FakeGroup {
  const group: FakeGroup = {
    name,
    lifecycleState: 'InService',
    protectedFromScaleIn: false,
    healthy: true,
    hooks: [],
    activities: [],
    replacesAfterMs: 60_000,
    hookLagMs: 0,
    begin(transition) {
      delete group.returnsTo;
      group.lifecycleState = transition === 'launch' ? 'Pending:Wait' : 'Terminating:Wait';
      beginHooks(group, transition, clock, instance);
    },
    beginReturn(pool, transition = 'terminate') {
      group.returnsTo = pool;
      group.lifecycleState = 'Warmed:Pending:Wait';
      beginHooks(group, transition, clock, instance);
    },
  };
  return group;
}

function beginHooks(
  group: FakeGroup,
  transition: 'launch' | 'terminate',
  clock: FakeClock,
  instance: FakeInstance,
): void {
  const hooks = group.hooks.filter((hook) => hook.transition === transition);
  // A launch hook that still waits when the group terminates the instance waits no longer.
  for (const hook of group.hooks) hook.active = false;
  for (const hook of hooks) {
    hook.active = true;
    delete hook.ended;
    hook.timesOutAt = clock.uptime() + hook.heartbeatSeconds * 1000;
    hook.endsAt = clock.uptime() + hook.globalSeconds * 1000;
    watchTimeout(group, hook, clock, instance);
  }
  if (hooks.length === 0) proceed(group, transition, instance);
}

function watchTimeout(group: FakeGroup, hook: FakeHook, clock: FakeClock, instance: FakeInstance): void {
  const at = Math.min(hook.timesOutAt ?? 0, hook.endsAt ?? 0);
  clock.schedule(at - clock.uptime(), () => {
    if (!hook.active) return;
    if (Math.min(hook.timesOutAt ?? 0, hook.endsAt ?? 0) > clock.uptime()) {
      watchTimeout(group, hook, clock, instance);
    } else {
      end(group, hook, 'timeout', instance);
    }
  });
}

function end(group: FakeGroup, hook: FakeHook, how: 'CONTINUE' | 'ABANDON' | 'timeout', instance: FakeInstance): void {
  hook.active = false;
  hook.ended = how;
  const result = how === 'timeout' ? hook.defaultResult : how;
  const rest = group.hooks.filter((other) => other.active && other.transition === hook.transition);
  if (result === 'ABANDON') {
    for (const other of rest) other.active = false;
    if (hook.transition === 'launch' || group.returnsTo !== undefined) return group.begin('terminate');
  } else if (rest.length > 0) return;
  proceed(group, hook.transition, instance);
}

function proceed(group: FakeGroup, transition: 'launch' | 'terminate', instance: FakeInstance): void {
  const { returnsTo } = group;
  delete group.returnsTo;
  if (returnsTo !== undefined) {
    group.lifecycleState = `Warmed:${returnsTo}`;
    return;
  }
  group.lifecycleState = transition === 'launch' ? 'InService' : 'Terminating:Proceed';
  if (transition === 'terminate') instance.state = 'shutting-down';
}

/**
 * Calls `groupNow` on each call, so that a test can put the instance into a group, or take it out,
 * at any time.
 */
export function openGroupCloud(
  groupNow: () => FakeGroup | undefined,
  instance: FakeInstance,
  clock: FakeClock,
): GroupCloud {
  const own = (name?: string): FakeGroup => {
    const group = groupNow();
    if (group === undefined || (name !== undefined && group.name !== name)) {
      throw new Refused(`Instance Id not found - No managed instance found in ${name ?? 'any group'}`, {
        code: 'ValidationError',
      });
    }
    return group;
  };
  const activeHook = (group: FakeGroup, name: string): FakeHook | undefined => {
    const hook = group.hooks.find((candidate) => candidate.name === name && candidate.active);
    const began = (hook?.endsAt ?? 0) - (hook?.globalSeconds ?? 0) * 1000;
    return hook !== undefined && clock.uptime() >= began + group.hookLagMs ? hook : undefined;
  };
  return {
    async readMembership() {
      const group = groupNow();
      if (group === undefined) return undefined;
      const { name, lifecycleState, protectedFromScaleIn } = group;
      return { group: name, lifecycleState, protectedFromScaleIn };
    },
    readHooks: async (name) =>
      own(name).hooks.map(({ name: hook, transition, heartbeatSeconds, globalSeconds, defaultResult }) => ({
        name: hook,
        transition,
        heartbeatSeconds,
        globalSeconds,
        defaultResult,
      })),
    async heartbeat(name, hookName) {
      const hook = activeHook(own(name), hookName);
      if (hook !== undefined) hook.timesOutAt = clock.uptime() + hook.heartbeatSeconds * 1000;
      return hook !== undefined;
    },
    async completeHook(name, hookName, result) {
      const group = own(name);
      const hook = activeHook(group, hookName);
      if (hook !== undefined) end(group, hook, result, instance);
      return hook !== undefined;
    },
    async terminateInGroup() {
      const group = own();
      if (group.lifecycleState.startsWith('Warmed:')) {
        throw new Refused('cannot terminate an instance of a warm pool', { code: 'ValidationError' });
      }
      if (group.lifecycleState.startsWith('Terminating')) {
        throw new Unavailable('ScalingActivityInProgress: the instance is being terminated');
      }
      group.begin('terminate');
    },
    async reportUnhealthy() {
      const group = own();
      group.healthy = false;
      clock.schedule(group.replacesAfterMs, () => {
        if (!group.healthy && !group.lifecycleState.startsWith('Terminating')) group.begin('terminate');
      });
    },
    readActivities: async (name, since) => own(name).activities.filter(({ at }) => at >= since),
  };
}
