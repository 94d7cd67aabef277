/**
 * Runs lifecycle hooks, several at once. Each has its heartbeat and its global timeout; the wait
 * ends when all complete or one abandons.
 */

import { Refusal } from '../refusal.ts';
import { setMemberState } from './activities.ts';
import type { Action, Group, Hook, Member, World } from './state.ts';

type Result = 'CONTINUE' | 'ABANDON';

/** The result of the wait. */
export interface HookOutcome {
  result: Result;
  /** The token of the abandoned action, and the reason. */
  message: string | undefined;
}

/**
 * Waits in `${prefix}:Wait` for all hooks of the transition, then calls `done` once. Without hooks
 * it calls `done` at once and skips :Wait.
 */
export function runHooks(
  world: World,
  group: Group,
  member: Member,
  transition: Hook['transition'],
  prefix: string,
  done: (verdict: HookOutcome) => void,
): void {
  const hooks = [...group.hooks.values()].filter((hook) => hook.transition === transition);
  if (hooks.length === 0) return done({ result: 'CONTINUE', message: undefined });
  let ended = false;
  const finishAction = (action: Action, result: Result, why: string) => {
    if (ended || action.result !== undefined) return;
    action.result = result;
    action.cancelHeartbeat();
    action.cancelGlobal();
    const open = [...member.actions.values()].some((other) => other.result === undefined);
    if (open && result === 'CONTINUE') return;
    ended = true;
    const abandoned = [...member.actions.values()].find((other) => other.result === 'ABANDON');
    clearActions(member);
    const message = `Instance failed to complete user's Lifecycle Action: Lifecycle Action with token ${abandoned?.token} was abandoned: ${why}`;
    done(abandoned ? { result: 'ABANDON', message } : { result: 'CONTINUE', message: undefined });
  };
  finishers.set(member, finishAction);
  member.activity.status = 'MidLifecycleAction';
  for (const hook of hooks) member.actions.set(hook.name, openAction(world, hook, finishAction));
  setMemberState(world, group, member, `${prefix}:Wait`);
}

type FinishAction = (action: Action, result: Result, why: string) => void;

const finishers = new WeakMap<Member, FinishAction>();

function openAction(world: World, hook: Hook, finishAction: FinishAction): Action {
  const action: Action = {
    hook,
    token: world.random.uuid(),
    startedAt: world.clock.now(),
    result: undefined,
    cancelHeartbeat: () => {},
    cancelGlobal: world.clock.after(hook.globalSeconds * 1000, () =>
      finishAction(action, hook.defaultResult, 'Global Timeout'),
    ),
  };
  startHeartbeatTimer(world, action, finishAction);
  return action;
}

function startHeartbeatTimer(world: World, action: Action, finishAction: FinishAction): void {
  action.cancelHeartbeat();
  const { hook } = action;
  action.cancelHeartbeat = world.clock.after(hook.heartbeatSeconds * 1000, () =>
    finishAction(action, hook.defaultResult, 'Heartbeat Timeout'),
  );
}

export function clearActions(member: Member): void {
  for (const { cancelHeartbeat, cancelGlobal } of member.actions.values()) {
    cancelHeartbeat();
    cancelGlobal();
  }
  member.actions.clear();
  finishers.delete(member);
}

export interface WhichAction {
  hookName: string;
  instanceId?: string | undefined;
  token?: string | undefined;
}

export function completeAction(world: World, group: Group, which: WhichAction, result: Result): void {
  const { member, action } = findAction(world, group, which);
  finishers.get(member)?.(action, result, `Lifecycle Action Completed with ${result} Result`);
}

export function heartbeat(world: World, group: Group, which: WhichAction): void {
  const { member, action } = findAction(world, group, which);
  const finishAction = finishers.get(member);
  if (finishAction) startHeartbeatTimer(world, action, finishAction);
}

function findAction(world: World, group: Group, { hookName, instanceId, token }: WhichAction) {
  const members = instanceId === undefined ? group.members.values() : [group.members.get(instanceId)];
  for (const member of members) {
    const action = member?.actions.get(hookName);
    if (!member || !action || action.result !== undefined) continue;
    if (token !== undefined && action.token !== token) continue;
    // AWS's users report this: right after :Wait begins, Auto Scaling does not yet know the action.
    if (world.clock.now() - action.startedAt < world.settings.autoscaling.noActiveActionMs) continue;
    return { member, action };
  }
  throw new Refusal(
    'ValidationError',
    instanceId === undefined
      ? `No active Lifecycle Action found with token ${token}`
      : `No active Lifecycle Action found with instance ID ${instanceId}`,
  );
}
