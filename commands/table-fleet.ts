/** The commands about a whole fleet, which are run from anywhere; table.ts lists them with the others. */

import type { Command, Flag } from './command.ts';
import { ecsName, groupName, regionFlag } from './fleet-flags.ts';
import { nodeCommands } from './table-nodes.ts';

/** Of `ecs-node policy`. */
export const fleetPolicyFlags: readonly Flag[] = [
  {
    name: 'for',
    value: 'COMMAND',
    choices: ['service-size', 'sweep', 'fleet'],
    help: 'Whoever runs this command, instead of a node',
  },
  { name: 'cluster', value: 'NAME', form: ecsName, help: 'With --for: this cluster; default: any' },
  { name: 'service', value: 'NAME', form: ecsName, help: 'With --for service-size: this service; default: any' },
  { name: 'group', value: 'NAME', form: groupName, help: 'With --for sweep: this Auto Scaling group; default: any' },
  { name: 'apply', help: 'With --for: with what only --apply needs' },
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
