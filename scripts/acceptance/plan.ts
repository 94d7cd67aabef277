/** Renders the plan of the acceptance, with its cost. Pure. */

import type { GroupFacts } from './group.ts';
import type { ActName, Options } from './options.ts';

const words: Record<ActName, (options: Options, group: GroupFacts) => string> = {
  'scale-out': ({ nodes }, { desired }) =>
    `sets the desired capacity from ${desired} to ${desired + nodes}; waits for ${nodes} nodes`,
  doctor: () => 'runs "ecs-node doctor" on each of them',
  'leave-stay': () => 'runs "ecs-node leave --no-terminate" and "ecs-node stay" on one of them',
  disk: () => 'fills the disk of one of them to 96 %, and frees it',
  agent: () => 'kills the agent of one of them with SIGKILL',
  spot: ({ fisRole }) =>
    fisRole === undefined
      ? 'skipped without --fis-role'
      : 'interrupts one of them by Fault Injection Service, if it is a spot instance',
  'scale-in': ({ stopSeconds }) =>
    `starts a task that takes ${stopSeconds} s to stop on one of them, and ends that node through the group`,
  refresh: (_, { members }) =>
    members.length > 0
      ? 'skipped: the group has other nodes, which a refresh would replace'
      : 'replaces the remaining one by an instance refresh',
};

export function renderPlan(options: Options, group: GroupFacts): string[] {
  const { nodes, acts } = options;
  const { name, min, max, desired, members, instanceTypes, hooks, provider } = group;
  const types = instanceTypes.length === 0 ? "the group's own type" : instanceTypes.join(', ');
  return [
    `Cluster  ${options.cluster}`,
    `Group    ${name}: ${min} to ${max} nodes, ${desired} desired, ${members.length} there; hooks ${hooks.join(', ') || 'none'}`,
    `Provider ${provider ?? 'none of this group'}`,
    '',
    'It will:',
    ...acts.map((act) => `  ${act.padEnd(10)} ${words[act](options, group)}`),
    '  at the end end its own nodes, and set the sizes of the group as they are now',
    '',
    `It touches only the ${nodes} nodes that it launches, and what replaces them.`,
    `Cost: ${nodes} instances (${types}) for about 40 minutes, their volumes, and their metrics of one month.`,
    ...(options.fisRole === undefined ? [] : ['Fault Injection Service charges each minute of an action.']),
    'Prices: https://aws.amazon.com/ec2/pricing/ and https://aws.amazon.com/cloudwatch/pricing/',
  ];
}
