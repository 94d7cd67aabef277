/**
 * The commands about a fleet's nodes; table-fleet.ts lists them with the others about a whole
 * fleet.
 */

import type { Command, Flag } from '../../cli/command.ts';
import { ecsName, groupName, regionFlag } from './fleet-flags.ts';

/** A year: more is a mistake in the unit. */
const maxMinutes = 527_040;

const clusterFlag: Flag = {
  name: 'cluster',
  value: 'NAME',
  required: true,
  form: ecsName,
  help: 'ECS cluster, by name',
};

const groupFlag: Flag = {
  name: 'group',
  value: 'NAME',
  repeated: true,
  form: groupName,
  help: "Auto Scaling group; default: those that launched the cluster's instances",
};

const namespaceFlag: Flag = {
  name: 'metrics-namespace',
  value: 'NAME',
  form: { pattern: /^[\w.\-/#: ]{1,255}$/, words: '1 to 255 characters' },
  help: 'As metrics.namespace of the nodes; default System/Linux',
};

const jsonFlag: Flag = { name: 'json', help: 'As JSON, for programs' };

const fleet: Command = {
  name: 'fleet',
  summary: 'Every node of a cluster in one table, the worst first',
  details:
    'From ECS, EC2, Auto Scaling and CloudWatch, in a few dozen calls for a thousand nodes; changes nothing. Runs anywhere: with\n' +
    'credentials from the environment, a shared profile (AWS_PROFILE), a container, or the instance profile. With --watch it looks\n' +
    'again every SECONDS (default 15) until Ctrl-C; what AWS does not answer now it may answer then. TASKS are running + pending; DISK\n' +
    'is the fullest one that the node has reported; a dash is what nobody knows.',
  operand: { name: 'SECONDS', optional: true },
  flags: [
    clusterFlag,
    groupFlag,
    { name: 'watch', help: 'Again and again, every SECONDS' },
    namespaceFlag,
    jsonFlag,
    regionFlag,
  ],
  examples: [
    ['ecs-node fleet --cluster prod', 'what is going on?'],
    ['ecs-node fleet --cluster prod --watch 30', 'on a second screen'],
    ['ecs-node fleet --cluster prod --json > fleet.json', 'for programs; troubles is empty where a node is well'],
  ],
  load: async () => (await import('./fleet.ts')).fleet,
};

const sweep: Command = {
  name: 'sweep',
  summary: 'Find what does not look right in a fleet, and with --apply put it right',
  details:
    'Finds nodes that never joined, are disconnected, or are stuck in DRAINING; termination protection; nodes that have stopped\n' +
    'reporting; container instances and OpsWorks records of instances that are gone; Names of nodes on instances that are none. Says\n' +
    'of each since when, on what evidence, what it would do and why, or why nothing. Without --apply it calls nothing that changes\n' +
    'anything. A node is ended in three runs: noted, drained, ended through its group, whose hooks run; each deed only after another\n' +
    'look. Nothing is done to nodes when a third of them look ill at once, and nothing is concluded from what AWS did not answer. An\n' +
    'instance with the tag ecs-node:keep is left alone. Safe to run twice at once, and as often as you like.\n' +
    'Exit codes: 0 nothing to do, or done (--apply); 1 something to do or to look at, without --apply; 75 something did not answer\n' +
    'or a deed failed: the next run goes on.',
  flags: [
    clusterFlag,
    groupFlag,
    {
      name: 'opsworks-stack',
      value: 'ID|NAME',
      help: 'Stack, by id or unique name: also look at its records; default: no OpsWorks',
    },
    { ...regionFlag, name: 'opsworks-region', help: 'Region of the OpsWorks endpoint; default: --region' },
    {
      name: 'name',
      value: 'PATTERN',
      help: 'Form of the nodes\' Name tags, * for anything; default "CLUSTER ECS - *"',
    },
    {
      name: 'older-than',
      value: 'MINUTES',
      whole: { min: 1, max: maxMinutes },
      help: 'What is younger may be on its way; default 120',
    },
    {
      name: 'draining-older-than',
      value: 'MINUTES',
      whole: { min: 1, max: maxMinutes },
      help: 'DRAINING for so long without tasks is stuck; default 720',
    },
    {
      name: 'max',
      value: 'N',
      whole: { min: 0, max: 100 },
      help: 'Nodes to drain or end in one run, and never more than 10 % of them; default 1',
    },
    { name: 'apply', help: 'Act; without it nothing is changed' },
    namespaceFlag,
    jsonFlag,
    regionFlag,
  ],
  examples: [
    ['ecs-node sweep --cluster prod', 'what does not look right, and what would be done'],
    ["ecs-node sweep --cluster prod --opsworks-stack 'v2 prod web' --apply", 'once an hour or a day, on a schedule'],
    ['ecs-node sweep --cluster prod --max 0 --apply', 'records, notes and protection, but no node'],
  ],
  load: async () => (await import('./sweep.ts')).sweep,
};

export const nodeCommands: readonly Command[] = [fleet, sweep];
