/** Compares the lifecycle hooks and the warm pool of the node's group with its configuration. */

import type { Config } from '../../config/config.ts';
import { Refused, messageOf } from '../../core/errors.ts';
import type { LifecycleHook } from '../../core/host.ts';
import type { GroupFacts } from '../../host/aws/examine/examination.ts';
import { ok, unsure, wrong, type Check, type Diagnosis } from './check.ts';

export const hooks: Check = {
  name: 'lifecycle hooks',
  async run({ examination, config }, signal) {
    if (examination === undefined || config === undefined) {
      return unsure('not checked without instance metadata and configuration');
    }
    try {
      const group = await examination.readGroup(signal);
      if (group === undefined) return unsure('this instance is in no Auto Scaling group: nothing would replace it');
      return judgeHooks(group, config);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return unsure(`not known: ${messageOf(error)}`);
    }
  },
};

export function judgeHooks(group: GroupFacts, config: Config): Diagnosis[] {
  const found = [
    ...judgeLaunch(group, config),
    ...judgeTerminate(group, config),
    ...judgeOthers(group, config),
    ...judgeWarmPool(group, config),
  ];
  if (found.length > 0) return found;
  const names = group.hooks.map(({ name }) => name).join(', ');
  return [ok(`those of the group ${group.name} are as configured: ${names}`)];
}

function judgeLaunch({ name: group, hooks: all }: GroupFacts, { autoScaling, join }: Config): Diagnosis[] {
  const { launchHook, launchHookSeconds } = autoScaling;
  const launching = all.filter(({ transition }) => transition === 'launch');
  const own = all.find(({ name }) => name === launchHook);
  if (own === undefined) {
    if (launching.length === 0) {
      const mend = `${putHook(group, 'launch', launchHook)}, unless that is wanted`;
      return [
        unsure(`the group ${group} has no launch hook: an instance counts as in service before it has joined`, mend),
      ];
    }
    return launchHook === undefined ? [] : [missing(group, 'launch', launchHook, launching)];
  }
  const found: Diagnosis[] = [];
  if (own.transition !== 'launch') return [swapped(own, 'autoScaling.launchHook')];
  if (launchHookSeconds !== undefined && launchHookSeconds > own.heartbeatSeconds) {
    found.push(
      wrong(
        `autoScaling.launchHookSeconds is ${launchHookSeconds}, but ${own.name} ends after ${own.heartbeatSeconds} s (HeartbeatTimeout): it may end before the first heartbeat`,
        `set autoScaling.launchHookSeconds: ${own.heartbeatSeconds}, or less`,
      ),
    );
  }
  if (join.timeoutSeconds > own.globalSeconds) {
    found.push(
      wrong(
        `joining may take ${join.timeoutSeconds} s (join.timeoutSeconds), but ${own.name} ends for good after ${own.globalSeconds} s (GlobalTimeout)`,
        'raise the HeartbeatTimeout of the hook: its GlobalTimeout is a hundred times that, at most 48 h',
      ),
    );
  }
  if (own.defaultResult === 'CONTINUE') {
    found.push(
      unsure(
        `${own.name} ends with CONTINUE when no node completes it: a node that never joined then counts as in service`,
        'set its DefaultResult to ABANDON, unless that is wanted',
      ),
    );
  }
  return found;
}

/** ECS makes this hook for a capacity provider with managed draining, and completes it. */
const managedDraining = /^ecs-managed-draining/;

function judgeTerminate({ name: group, hooks: all }: GroupFacts, { autoScaling, leave }: Config): Diagnosis[] {
  const { terminateHook } = autoScaling;
  const terminating = all.filter(({ transition }) => transition === 'terminate');
  const own = all.find(({ name }) => name === terminateHook);
  if (own === undefined) {
    if (terminating.length === 0) {
      const mend = putHook(group, 'terminate', terminateHook);
      return [
        unsure(`the group ${group} has no terminate hook: nothing waits for the drain when it ends a node`, mend),
      ];
    }
    if (terminateHook === undefined || terminating.every(({ name }) => managedDraining.test(name))) return [];
    return [missing(group, 'terminate', terminateHook, terminating)];
  }
  if (own.transition !== 'terminate') return [swapped(own, 'autoScaling.terminateHook')];
  if (leave.drainSeconds <= own.globalSeconds) return [];
  return [
    wrong(
      `draining may take ${leave.drainSeconds} s (leave.drainSeconds), but ${own.name} ends for good after ${own.globalSeconds} s (GlobalTimeout)`,
      'raise the HeartbeatTimeout of the hook: its GlobalTimeout is a hundred times that, at most 48 h',
    ),
  ];
}

/** Hooks that this node does not complete. */
function judgeOthers({ name: group, hooks: all }: GroupFacts, { autoScaling }: Config): Diagnosis[] {
  const own = [autoScaling.launchHook, autoScaling.terminateHook];
  const names = all.map(({ name }) => name);
  // `missing` has already reported a configured hook that the group lacks, and has named the
  // others.
  const isTold = (hook: string | undefined) => hook !== undefined && !names.includes(hook);
  return all
    .filter(({ name }) => !own.includes(name) && !managedDraining.test(name))
    .filter(({ transition }) => !isTold(transition === 'launch' ? autoScaling.launchHook : autoScaling.terminateHook))
    .map((hook) => unsure(tellWait(hook, group), tellMend(hook)));
}

function tellWait({ name, transition, heartbeatSeconds, defaultResult }: LifecycleHook, group: string): string {
  const wait = `this node does not complete the ${transition} hook ${name}: if nothing else does, the group ${group} waits ${heartbeatSeconds} s for it`;
  if (transition === 'terminate') return `${wait} before an instance ends`;
  const end = defaultResult === 'CONTINUE' ? 'then takes it as it is' : 'then ends it';
  return `${wait} with each new instance, and ${end}`;
}

function tellMend({ name, transition }: LifecycleHook): string {
  return `set autoScaling.${transition}Hook: ${name}, or delete the hook, unless something else completes it`;
}

function missing(group: string, transition: 'launch' | 'terminate', hook: string, others: LifecycleHook[]): Diagnosis {
  const names = others.map(({ name }) => name).join(', ');
  return wrong(
    `the group ${group} has no ${transition} hook ${hook}, but ${names}: perhaps nothing completes it`,
    `set autoScaling.${transition}Hook to the name of the hook that this node completes, or ${putHook(group, transition, hook)}`,
  );
}

function swapped({ name, transition }: LifecycleHook, setting: string): Diagnosis {
  return wrong(`${setting} names ${name}, which is a ${transition} hook`, `set ${setting} to a hook of its own kind`);
}

function putHook(group: string, transition: 'launch' | 'terminate', name = `ecs-node-${transition}`): string {
  const [kind, result, seconds] =
    transition === 'launch' ? ['LAUNCHING', 'ABANDON', 1800] : ['TERMINATING', 'CONTINUE', 900];
  return `aws autoscaling put-lifecycle-hook --auto-scaling-group-name ${group} --lifecycle-hook-name ${name} --lifecycle-transition autoscaling:EC2_INSTANCE_${kind} --heartbeat-timeout ${seconds} --default-result ${result}`;
}

function judgeWarmPool({ name: group, hasWarmPool }: GroupFacts, { ecs }: Config): Diagnosis[] {
  const checks = ecs.settings['ECS_WARM_POOLS_CHECK'] === 'true';
  if (hasWarmPool === true && !checks) {
    return [
      wrong(
        `the group ${group} has a warm pool, but ECS_WARM_POOLS_CHECK is not set: instances in the pool join the cluster, and their tasks end when the pool stops them`,
        'set ecs.settings.ECS_WARM_POOLS_CHECK: "true" in the configuration',
      ),
    ];
  }
  if (hasWarmPool === false && checks) {
    return [
      unsure(
        `ECS_WARM_POOLS_CHECK is set, but the group ${group} has no warm pool: at each start the ECS agent waits up to a minute for the instance to be InService`,
        'leave ecs.settings.ECS_WARM_POOLS_CHECK out',
      ),
    ];
  }
  return [];
}
