// Renders the manual pages ecs-node(8) and ecs-node.yaml(5) in roff.

import type { Command, Flag } from '../../cli/command.ts';
import { commandTable } from '../../commands/table.ts';
import { visible } from './commands.ts';
import { examples, listSections, type Setting } from './settings.ts';

export function renderCommandsPage(): string {
  const { globalFlags } = commandTable;
  return page([
    '.TH ECS\\-NODE 8 "" "ecs\\-node" "System Administration"',
    '.SH NAME',
    'ecs\\-node \\- start, watch and retire an Amazon ECS container instance',
    '.SH SYNOPSIS',
    '.B ecs\\-node',
    '.I COMMAND',
    '[flags]',
    '.SH DESCRIPTION',
    roff(
      'One program that bootstraps a container instance before ECS starts, watches it while it runs, and drains and deregisters it at its end. ecs-node.yaml(5) describes its settings.',
    ),
    '.SH COMMANDS',
    ...visible(commandTable).flatMap(renderCommand),
    '.SH FLAGS OF EVERY COMMAND',
    ...globalFlags.flatMap(renderFlag),
    '.SH EXIT STATUS',
    ...exitCodes.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, roff(meaning)]),
    '.SH FILES',
    ...files.flatMap(([path, meaning]) => ['.TP', `.I ${roff(path)}`, roff(meaning)]),
    '.SH SEE ALSO',
    '.BR ecs\\-node.yaml (5),',
    '.BR systemctl (1),',
    '.BR journalctl (1)',
  ]);
}

export function renderConfigurationPage(): string {
  return page([
    '.TH ECS\\-NODE.YAML 5 "" "ecs\\-node" "File Formats"',
    '.SH NAME',
    'ecs\\-node.yaml \\- configuration of ecs\\-node',
    '.SH SYNOPSIS',
    '.I /etc/ecs\\-node/config.yaml',
    '.br',
    '.I /etc/ecs\\-node/config.d/*.yaml',
    '.SH DESCRIPTION',
    roff(
      'YAML. Only cluster is required. Drop-ins are read in the order of their names; a later one wins. ecs-node check prints the effective configuration, and where each value came from.',
    ),
    ...listSections().flatMap(({ name, meaning, settings }) => [
      `.SH ${roff(name).toUpperCase()}`,
      roff(meaning),
      ...settings.flatMap(renderSetting),
    ]),
    '.SH SEE ALSO',
    '.BR ecs\\-node (8)',
  ]);
}

/** The exit codes of core/errors.ts and main.ts. */
const exitCodes = [
  ['0', 'Done.'],
  ['1', 'The command found a problem (doctor, sweep).'],
  ['64', 'Wrong usage.'],
  ['70', 'A bug.'],
  ['75', 'Not possible now; try again later.'],
  ['77', 'Refused by AWS or by the registrar.'],
  ['78', 'Wrong configuration; nothing was changed.'],
] as const;

const files = [
  ['/etc/ecs-node/config.yaml', 'The configuration.'],
  ['/etc/ecs-node/config.d/*.yaml', 'Drop-ins.'],
  ['/etc/ecs-node/environment', 'Proxy, certificate authority and endpoints, for both units.'],
  ['/etc/ecs-node/hooks.d', 'Programs that run while the node leaves.'],
  ['/var/lib/ecs-node', "The node's state."],
] as const;

function renderCommand(command: Command): string[] {
  const { name, summary, details, operand, flags, examples: lines } = command;
  const word = operand === undefined ? '' : ` ${operand.choices?.join('|') ?? operand.name}`;
  return [
    `.SS ecs\\-node ${roff(name)}${roff(operand?.optional ? ` [${word.trim()}]` : word)}`,
    `${roff(summary)}.`,
    ...(details === undefined ? [] : ['.PP', roff(details.replaceAll('\n', ' '))]),
    ...flags.flatMap(renderFlag),
    ...lines.flatMap(([line, meaning]) => ['.PP', `${roff(meaning)}:`, '.PP', '.nf', `    ${roff(line)}`, '.fi']),
  ];
}

function renderFlag({ name, value, choices, repeated, help }: Flag): string[] {
  const argument = value === undefined ? '' : ` \\fI${roff(choices?.join('|') ?? value)}\\fR`;
  return ['.TP', `\\fB\\-\\-${roff(name)}\\fR${argument}${repeated ? ' ...' : ''}`, `${roff(help)}.`];
}

function renderSetting({ path, meaning, type, standard, limits, atBoot }: Setting): string[] {
  const facts = [
    `${type}${limits === undefined ? '' : `, ${limits}`}`,
    `default: ${standard ?? 'none'}`,
    atBoot ? 'takes effect at the next boot' : 'takes effect at once',
  ];
  const example = examples[path];
  return [
    '.TP',
    `.B ${roff(path)}`,
    roff(meaning),
    '.br',
    roff(`${facts.join('; ')}.`),
    ...(example === undefined ? [] : ['.nf', ...example.split('\n').map((line) => `    ${roff(line)}`), '.fi']),
  ];
}

/**
 * In roff, a line that begins with a dot or a quote is a request. groff reads Latin-1, not UTF-8.
 */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^([.'])/gm, '\\&$1')
    .replaceAll(/[^\x20-\x7e\n]/g, (character) => `\\[u${codePoint(character)}]`);
}

function codePoint(character: string): string {
  return character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
}

function page(lines: readonly string[]): string {
  return `.\\" Made by npm run docs. Change config/schema.ts or commands/table.ts.\n${lines.join('\n')}\n`;
}
