/** The commands about a whole fleet, which run anywhere. table.ts lists them with the others. */

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
  {
    name: 'service',
    value: 'NAME',
    repeated: true,
    form: ecsName,
    help: 'With --for service-size: this service; default: any',
  },
  { name: 'apply', help: 'With --for: include what only --apply needs' },
  { ...regionFlag, help: "AWS region; default: this node's, or any" },
  {
    name: 'account',
    value: 'ID',
    form: { pattern: /^\d{12}$/, words: 'an account id of 12 digits' },
    help: "AWS account; default: this node's, or any",
  },
];

/** ECS's limit of tasks for one service. */
const maxTasks = 5000;

export const fleetCommands: readonly Command[] = [
  ...nodeCommands,
  {
    name: 'service-size',
    summary: 'Keep services at as many tasks as there are container instances, less some to spare',
    details:
      'Says what it would do. --apply does it, by setting the desired count and nothing else. Grows by container instances that are\n' +
      'ACTIVE with a connected ECS agent. Shrinks only by those that are gone or leaving, and by a quarter of the tasks at a time.\n' +
      'External instances do not count. Waits while a deployment is in progress. Refuses services that Application Auto Scaling sizes,\n' +
      'DAEMON services, and services that run on Fargate, are deployed by CodeDeploy, or are deleted (exit code 77). A service with a\n' +
      'desired count of 0 is switched off and stays so. One of several services that fails does not stop the others.',
    flags: [
      { name: 'cluster', value: 'NAME', required: true, form: ecsName, help: 'ECS cluster, by name' },
      {
        name: 'service',
        value: 'NAME',
        required: true,
        repeated: true,
        form: ecsName,
        help: 'Service, by name; several get the same --spare, --min and --max',
      },
      {
        name: 'spare',
        value: 'N',
        whole: { min: 0, max: maxTasks },
        help: 'Number of container instances without a task of the service; default 1',
      },
      { name: 'min', value: 'N', whole: { min: 1, max: maxTasks }, help: 'Minimum number of tasks; default 1' },
      { name: 'max', value: 'N', whole: { min: 1, max: maxTasks }, help: 'Maximum number of tasks; default: no limit' },
      { name: 'apply', help: 'Change something; without it nothing is changed' },
      { name: 'json', help: 'Print JSON: an object, or a list for several services' },
      regionFlag,
    ],
    examples: [
      ['ecs-node service-size --cluster prod --service web', 'what it would do: one node to spare'],
      [
        'ecs-node service-size --cluster prod --service web --min 2 --apply',
        'N+1, at least two tasks, as the schedule runs it',
      ],
      ['ecs-node service-size --cluster prod --service web --service worker --apply', 'two services in one run'],
    ],
    load: async () => (await import('./service-size.ts')).serviceSize,
  },
];

/** Throws if there is none: a wrong name in the code. */
export function fleetCommandNamed(name: string): Command {
  const found = fleetCommands.find((command) => command.name === name);
  if (found === undefined) throw new Error(`no command ${name} about a whole fleet`);
  return found;
}
