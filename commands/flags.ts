/** Flags that several commands share. */

import { registrarNames } from '../core/state/state.ts';
import type { Flag } from '../cli/command.ts';

export const globalFlags: readonly Flag[] = [
  { name: 'root', value: 'DIR', completes: 'folder', help: 'Put every file that is read, written or run under DIR' },
  { name: 'config', value: 'FILE', completes: 'file', help: 'Use FILE instead of /etc/ecs-node/config.yaml' },
  {
    name: 'log-format',
    value: 'FORMAT',
    choices: ['json', 'text'],
    help: 'One line per event on standard error; default: text on a terminal, native fields in the journal, else json',
  },
  { name: 'verbose', help: 'Also log every AWS call' },
  { name: 'help', help: 'Show the help of a command, with examples' },
  { name: 'version', help: 'Print the version' },
];

export const settingFlags: readonly Flag[] = [
  { name: 'cluster', value: 'NAME', setting: 'cluster', help: 'ECS cluster to join' },
  {
    name: 'registrar',
    value: 'WHERE',
    choices: registrarNames,
    setting: 'registrar',
    help: 'Where to register for team access',
  },
  { name: 'opsworks-stack', value: 'ID|NAME', setting: 'opsworks.stack', help: 'Stack, by id or unique name' },
  { name: 'opsworks-layer', value: 'ID|SHORTNAME', setting: 'opsworks.layer', help: 'Layer, by id or short name' },
  { name: 'opsworks-region', value: 'REGION', setting: 'opsworks.region', help: 'Region of the OpsWorks endpoint' },
  { name: 'name', value: 'TEMPLATE', setting: 'name', help: 'Name tag, such as "{cluster} ECS - {hostname}"' },
  {
    name: 'set',
    value: 'KEY=VALUE',
    repeated: true,
    help: 'Any setting by its dotted key; the value is YAML',
    loadCheck: async () => (await import('../config/sources/flags.ts')).faultsOfFlags,
  },
];
