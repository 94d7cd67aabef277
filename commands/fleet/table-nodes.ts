/** The commands about a fleet's nodes. table-fleet.ts lists them with the others about a fleet. */

import type { Command, Flag } from '../../cli/command.ts';
import { ecsName, groupName, regionFlag } from './fleet-flags.ts';

/** A year. More is a mistake in the unit. */
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
  help: "The nodes' setting metrics.namespace; default System/Linux",
};

const jsonFlag: Flag = { name: 'json', help: 'Print JSON, for programs' };

const fleet: Command = {
  name: 'fleet',
  summary: 'Every node of a cluster in one table, the worst first',
  details:
    'Reads ECS, EC2, Auto Scaling and CloudWatch, in a few dozen calls for a thousand nodes, and changes nothing. Runs anywhere: with\n' +
    'credentials from the environment, a shared profile (AWS_PROFILE), a container, or the instance profile. With --watch it repeats\n' +
    'every SECONDS (default 15) until Ctrl-C, also while AWS does not answer. TASKS are running + pending. DISK is the fullest one that\n' +
    'the node reported. A dash is unknown. External instances (ECS Anywhere) come last and are not counted.\n' +
    'With --history it prints the events that nodes sent (setting events.bus), also those of nodes that are gone, as the stack of\n' +
    'cloudformation/ keeps them for 90 days. With the id of an instance it also prints all that is known about its departure.',
  operand: { name: 'SECONDS|INSTANCE', optional: true },
  flags: [
    clusterFlag,
    groupFlag,
    { name: 'watch', help: 'Repeat every SECONDS' },
    { name: 'history', help: 'Print the events of nodes, or of one INSTANCE' },
    {
      name: 'days',
      value: 'N',
      whole: { min: 1, max: 3653 },
      help: 'How far --history looks back; default 7, for one INSTANCE 90',
    },
    {
      name: 'log-group',
      value: 'NAME',
      form: { pattern: /^[\w./#-]{1,512}$/, words: 'the name of a log group' },
      help: 'Log group of the events; default /ecs-node/CLUSTER/events',
    },
    namespaceFlag,
    jsonFlag,
    regionFlag,
  ],
  examples: [
    ['ecs-node fleet --cluster prod', 'what is going on?'],
    ['ecs-node fleet --cluster prod --watch 30', 'on a second screen'],
    ['ecs-node fleet --cluster prod --history i-0123456789abcdef0', 'why did that node die?'],
    ['ecs-node fleet --cluster prod --json > fleet.json', 'for programs; troubles is empty for a node that is well'],
  ],
  load: async () => (await import('./fleet.ts')).fleet,
};

const sweep: Command = {
  name: 'sweep',
  summary: 'Find what does not look right in a fleet, and with --apply put it right',
  details:
    'Finds nodes that never joined, are disconnected, or are stuck in DRAINING; termination protection; nodes that stopped reporting;\n' +
    'records in ECS and OpsWorks of instances that are gone; second records of one instance; nodes that are not in OpsWorks; Names of\n' +
    'nodes on other instances. Each finding says since when, the evidence, what the sweep would do, and why. Without --apply it changes\n' +
    'nothing. It terminates a node in three runs: it notes it, drains it, and lets the group terminate it with its hooks. It drains or\n' +
    'terminates only a node that looks the same for three minutes (--recheck), and reads it again right before. It changes no node\n' +
    'while a third of them look ill, and concludes nothing from an answer that is missing or incomplete. It leaves alone: instances\n' +
    'with the tag ecs-node:keep, in Standby, or protected from scale-in; external instances (mi-…); nodes whose tag ecs-node:cluster\n' +
    'names another cluster, or that are registered in one. Two sweeps at once do no harm.\n' +
    'Exit codes: 0 nothing to do, or done (--apply); 1 something to do or to look at, without --apply; 75 AWS did not answer something,\n' +
    'or a change failed: the next run goes on.',
  flags: [
    clusterFlag,
    groupFlag,
    {
      name: 'opsworks-stack',
      value: 'ID|NAME',
      help: 'Also look at this stack, by id or unique name; default: no OpsWorks',
    },
    { ...regionFlag, name: 'opsworks-region', help: 'Region of the OpsWorks endpoint; default: --region' },
    {
      name: 'name',
      value: 'PATTERN',
      help: 'Pattern of the nodes\' Name tags, * for any text; default "CLUSTER ECS - *"',
    },
    {
      name: 'older-than',
      value: 'MINUTES',
      whole: { min: 1, max: maxMinutes },
      help: 'Minimum age of what a sweep acts on; default 120',
    },
    {
      name: 'draining-older-than',
      value: 'MINUTES',
      whole: { min: 1, max: maxMinutes },
      help: 'Time in DRAINING after which a node without tasks is stuck; a run must see it so in each quarter of it; default 720',
    },
    {
      name: 'recheck',
      value: 'SECONDS',
      whole: { min: 1, max: 3_600 },
      help: 'Time that a node must look the same within the run before the run drains, terminates or deregisters it, or makes it ACTIVE; default 180',
    },
    {
      name: 'max',
      value: 'N',
      whole: { min: 0, max: 100 },
      help: 'Maximum number of nodes to drain or terminate in one run, and never more than 10 %; default 1',
    },
    { name: 'apply', help: 'Change something; without it nothing is changed' },
    namespaceFlag,
    jsonFlag,
    regionFlag,
  ],
  examples: [
    ['ecs-node sweep --cluster prod', 'what does not look right, and what would be done'],
    ["ecs-node sweep --cluster prod --opsworks-stack 'v2 prod web' --apply", 'once an hour or a day, on a schedule'],
    ['ecs-node sweep --cluster prod --max 0 --apply', 'only records, notes and protection, no node'],
  ],
  load: async () => (await import('./sweep.ts')).sweep,
};

export const nodeCommands: readonly Command[] = [fleet, sweep];
