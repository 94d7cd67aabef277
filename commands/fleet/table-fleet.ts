/**
 * The commands about a whole fleet, which are run from anywhere; table.ts lists them with the
 * others.
 */

import type { Command, Flag } from '../../cli/command.ts';
import { ecsName, groupName, regionFlag } from './fleet-flags.ts';
import { nodeCommands } from './table-nodes.ts';

/** Flags of `ecs-node policy`, beside those that set settings. */
export const policyFlags: readonly Flag[] = [
  {
    name: 'for',
    value: 'WHAT',
    choices: ['ecs-agent', 'systems-manager', 'service-size', 'sweep', 'fleet'],
    help: "The policy for the ECS agent, for Systems Manager's agent or for a fleet command, instead of ecs-node on a node",
  },
  { name: 'group', value: 'NAME', form: groupName, help: "Auto Scaling group; default: this node's, or any" },
  { name: 'service', value: 'NAME', form: ecsName, help: 'With --for service-size: this service; default: any' },
  { name: 'apply', help: 'With --for: include what only --apply needs' },
  { ...regionFlag, help: "AWS region; default: this node's, or any" },
  {
    name: 'account',
    value: 'ID',
    form: { pattern: /^\d{12}$/, words: 'an account id of 12 digits' },
    help: "AWS account; default: this node's, or any",
  },
];

/** ECS runs at most so many tasks for a service. */
const maxTasks = 5000;

export const fleetCommands: readonly Command[] = [
  ...nodeCommands,
  {
    name: 'service-size',
    summary: 'Keep a service at as many tasks as there are container instances, less some to spare',
    details:
      'Says what it would do; --apply does it, by setting the desired count and nothing else. Grows by container instances that are\n' +
      'ACTIVE with a connected agent; shrinks only by those that are gone or leaving, and by a quarter of the tasks at a time. Waits\n' +
      'while a deployment is in progress. Refuses services that are sized by Application Auto Scaling or that are DAEMON, on Fargate,\n' +
      'deployed by CodeDeploy, or deleted (exit code 77). A service with a desired count of 0 is switched off and stays so.',
    flags: [
      { name: 'cluster', value: 'NAME', required: true, form: ecsName, help: 'ECS cluster, by name' },
      { name: 'service', value: 'NAME', required: true, form: ecsName, help: 'Service, by name' },
      {
        name: 'spare',
        value: 'N',
        whole: { min: 0, max: maxTasks },
        help: 'Container instances without a task of it; default 1',
      },
      { name: 'min', value: 'N', whole: { min: 1, max: maxTasks }, help: 'Never fewer tasks; default 1' },
      { name: 'max', value: 'N', whole: { min: 1, max: maxTasks }, help: 'Never more tasks; default: no limit' },
      { name: 'apply', help: 'Act; without it nothing is changed' },
      { name: 'json', help: 'As JSON, for programs' },
      regionFlag,
    ],
    examples: [
      ['ecs-node service-size --cluster prod --service web', 'what it would do: one node to spare'],
      [
        'ecs-node service-size --cluster prod --service web --min 2 --apply',
        'N+1, at least two tasks, as the schedule runs it',
      ],
    ],
    load: async () => (await import('./service-size.ts')).serviceSize,
  },
];

/** Throws where there is none: a name that was written down wrong. */
export function fleetCommandNamed(name: string): Command {
  const found = fleetCommands.find((command) => command.name === name);
  if (found === undefined) throw new Error(`no command ${name} about a whole fleet`);
  return found;
}
