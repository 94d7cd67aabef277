/**
 * Every command and flag. The parser, the help and the shell completions are made from this table.
 */

import type { Command, CommandTable } from '../cli/command.ts';
import { globalFlags, settingFlags } from './flags.ts';
import { ecsName } from './fleet/fleet-flags.ts';
import { fleetCommands, policyFlags } from './fleet/table-fleet.ts';

export const commands: readonly Command[] = [
  {
    name: 'bootstrap',
    summary: "The node's first minutes, in the foreground, before ECS starts",
    details:
      'Writes ecs.config, names and registers the node and clears termination protection. Every step can be repeated; a crash or a\n' +
      'reboot resumes. Flags are written into the configuration first, as "ecs-node configure" does.\n' +
      'While another bootstrap of this node runs, this one waits. After bootstrap.timeoutSeconds it gives up with exit code 75.',
    flags: settingFlags,
    examples: [
      ['ecs-node bootstrap', 'as systemd runs it, with the written configuration'],
      ['ecs-node bootstrap --cluster prod --registrar ssm', 'configure and bootstrap in one go'],
    ],
    load: async () => (await import('./bootstrap.ts')).bootstrap,
  },
  {
    name: 'configure',
    summary: 'Validate and write the configuration; for user data',
    details:
      'Changes only the settings of the flags, and keeps comments. If anything has a fault, nothing is written. Returns at once;\n' +
      'the units do the rest.',
    flags: settingFlags,
    examples: [
      ['ecs-node configure --cluster prod', 'the whole user data of a baked image'],
      [
        "ecs-node configure --cluster prod --registrar opsworks --opsworks-stack 'v2 prod web' --opsworks-layer ecs",
        'with OpsWorks',
      ],
      ['ecs-node configure --set disk.fullPercent=85 --set disk.paths=[/data]', 'any other setting'],
    ],
    load: async () => (await import('./configure.ts')).configure,
  },
  {
    name: 'agent',
    summary: 'The resident service: joins, watches, leaves in good order',
    flags: [],
    examples: [['ecs-node agent', 'as systemd runs it']],
    load: async () => (await import('./agent.ts')).agent,
  },
  {
    name: 'refresh',
    summary: 'Pull the configuration from refresh.source now',
    details:
      "The agent also does this every few minutes. Fetches changed documents and checks them together with the node's own files. If that\n" +
      'fails (exit code 78), the last good documents stay. A running agent applies a change soon; "systemctl reload ecs-node" applies it at once.',
    flags: [{ name: 'json', help: 'As JSON' }],
    examples: [['ecs-node refresh', 'try whether new documents are good']],
    load: async () => (await import('./refresh.ts')).refresh,
  },
  {
    name: 'check',
    summary: 'Validate the configuration offline and print the effective one',
    details:
      'Each value is followed by its source. Instance tags and user data are read only with --metadata: without it, the command sends\n' +
      'nothing over the network. FILE - is standard input. Exit code 78 with every fault at once.',
    operand: { name: 'FILE', optional: true, completes: 'file' },
    flags: [{ name: 'metadata', help: 'Also read tags and user data from the instance metadata service' }],
    examples: [
      ['ecs-node check', 'the settings that this node would use'],
      ['ecs-node check ./config.yaml', 'a file before it is deployed'],
      ['ecs-node check -', 'a text that another program pipes into it'],
      ['ecs-node check --metadata', 'on a node whose cluster comes from an instance tag'],
    ],
    load: async () => (await import('./check.ts')).check,
  },
  {
    name: 'status',
    summary: 'Show the state of this node and its present work; works without the network',
    details: 'Exit code 0, whatever it shows. With --check, exit code 1 when something is wrong or the node leaves.',
    flags: [
      { name: 'check', help: 'Also list what is wrong, and exit with 1 if anything is' },
      { name: 'json', help: 'As JSON, for programs' },
    ],
    examples: [
      ['ecs-node status', 'for people'],
      ['ecs-node status --check', 'for a monitor or a script'],
      ['ecs-node status --json', 'for programs'],
    ],
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'policy',
    summary: 'Print the least-privilege IAM policy for the features that the configuration enables',
    details:
      'Limits each action to this node where IAM can; --explain shows the others. On a node, its account, region and group are\n' +
      'filled in. Elsewhere, flags give them and the configuration: no file is needed. Every other part is a wildcard.\n' +
      'A node also runs the ECS agent and, for Session Manager, its agent: --for prints a policy for each of them.\n' +
      '"ecs-node doctor" tries the result on a node.',
    flags: [
      { name: 'explain', help: 'One line for each action: the feature that needs it and the resources that it covers' },
      ...settingFlags.map((flag) => (flag.name === 'cluster' ? { ...flag, form: ecsName, help: 'ECS cluster' } : flag)),
      ...policyFlags,
    ],
    examples: [
      ['ecs-node policy > policy.json', 'on a node, for the role of its instance profile'],
      ['ecs-node policy --cluster prod --registrar ssm --region eu-west-1', 'on a laptop, without a file'],
      ['ecs-node policy --for ecs-agent --cluster prod', 'instead of AmazonEC2ContainerServiceforEC2Role'],
      ['ecs-node policy --config ./config.yaml --explain', 'why each action is needed'],
      [
        'ecs-node policy --for service-size --cluster prod --service web --apply',
        'for the role of a scheduled function',
      ],
    ],
    load: async () => (await import('./policy.ts')).policy,
  },
  {
    name: 'doctor',
    summary: 'Check everything that this node depends on, and name remedies',
    details: 'Changes nothing. Exit code 1 when something is wrong.',
    flags: [],
    examples: [['ecs-node doctor', 'on a node, as root']],
    load: async () => (await import('./doctor.ts')).doctor,
  },
  {
    name: 'leave',
    summary: 'Retire this node in good order',
    details:
      'Asks the agent to drain the node and to terminate it through its Auto Scaling group. Prints the progress.\n' +
      'With --no-terminate the node stays, but a scale-in or a spot notice still ends it, and "ecs-node sweep --apply" may: the tag\n' +
      'ecs-node:keep on the instance prevents the sweep.',
    flags: [
      { name: 'reason', value: 'TEXT', help: 'Reason; shown in logs, status and the instance tag' },
      { name: 'no-terminate', help: 'Drain and stay: do not terminate the instance' },
      { name: 'no-wait', help: 'Return as soon as the agent has been asked' },
    ],
    examples: [
      ['ecs-node leave --reason "kernel update"', 'replace this node'],
      ['ecs-node leave --no-terminate', 'drain it and examine it'],
    ],
    load: async () => (await import('./leave.ts')).leave,
  },
  {
    name: 'stay',
    summary: 'Undo a departure that can still be undone',
    details:
      'Does not keep the node from its next departure. The tag ecs-node:keep on the instance prevents the departures that the node\n' +
      'decides on itself; a scale-in or a spot notice still ends the node.',
    flags: [
      { name: 'reason', value: 'TEXT', help: 'Reason; shown in logs and status' },
      { name: 'no-wait', help: 'Return as soon as the agent has been asked' },
    ],
    examples: [['ecs-node stay', 'ACTIVE again after "ecs-node leave --no-terminate"']],
    load: async () => (await import('./leave.ts')).stay,
  },
  ...fleetCommands,
  {
    name: 'completion',
    summary: 'Print a script for shell completion',
    operand: { name: 'SHELL', choices: ['bash', 'zsh', 'fish'] },
    flags: [],
    examples: [
      ['source <(ecs-node completion bash)', 'in this shell'],
      ['ecs-node completion fish > ~/.config/fish/completions/ecs-node.fish', 'for good'],
    ],
    load: async () => (await import('./completion.ts')).completion,
  },
  {
    name: 'schema',
    summary: 'Print the JSON Schema of the configuration, for editors',
    flags: [],
    examples: [['ecs-node schema > config.schema.json', 'then: # yaml-language-server: $schema=config.schema.json']],
    load: async () => (await import('./schema.ts')).schema,
  },
  {
    name: 'cloud',
    summary: 'Answer one AWS call per line; started by the agent',
    hidden: true,
    operand: { name: 'IDENTITY' },
    flags: [{ name: 'opsworks-region', value: 'REGION', help: 'Region of the OpsWorks endpoint' }],
    examples: [],
    load: async () => (await import('./node/cloud.ts')).cloud,
  },
  {
    name: 'effective',
    summary: 'Print the effective configuration as JSON; started by the agent',
    hidden: true,
    flags: [
      { name: 'with-secrets', help: 'Also print passwords; without it nothing is printed' },
      {
        name: 'or-last-good',
        help: 'Print the last valid configuration of this boot when the present one is not valid',
      },
    ],
    examples: [],
    load: async () => (await import('./node/effective.ts')).effective,
  },
];

export const commandTable: CommandTable = { commands, globalFlags };
