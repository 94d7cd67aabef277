/** Renders scripts for shell completion from the table of commands. */

import type { Command, CommandTable, Flag } from './command.ts';

function visibleOf({ commands }: CommandTable): Command[] {
  return commands.filter(({ hidden }) => hidden !== true);
}

function flagsOf({ globalFlags }: CommandTable, command: Command): Flag[] {
  return [...command.flags, ...globalFlags];
}

/** Names of commands, flags and choices are plain words, so they need no quoting for the shell. */
function words(flags: readonly Flag[]): string {
  return flags.map(({ name }) => `--${name}`).join(' ');
}

// ---------------------------------------------------------------- bash

export function renderBash(table: CommandTable): string {
  const { globalFlags } = table;
  const visible = visibleOf(table);
  const all = [
    ...new Map(visible.flatMap((command) => flagsOf(table, command)).map((flag) => [flag.name, flag])).values(),
  ];
  const byValue = all
    .filter(({ value }) => value !== undefined)
    .map((flag) => `    --${flag.name}) ${bashValue(flag)}; return ;;`);
  const byCommand = visible.map((command) => {
    const { operand } = command;
    const files = operand?.completes === 'file' ? ' COMPREPLY+=($(compgen -f -- "$word"))' : '';
    const choices = operand?.choices === undefined ? '' : ` ${operand.choices.join(' ')}`;
    return `    ${command.name}) COMPREPLY=($(compgen -W '${words(flagsOf(table, command))}${choices}' -- "$word"));${files} ;;`;
  });
  return `# bash completion for ecs-node; made by "ecs-node completion bash"
_ecs_node() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command= i
  COMPREPLY=()
  case $before in
${byValue.join('\n')}
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${visible.map(({ name }) => name).join('|')}) command=\${COMP_WORDS[i]}; break ;;
    esac
  done
  case $command in
${byCommand.join('\n')}
    *) COMPREPLY=($(compgen -W '${visible.map(({ name }) => name).join(' ')} ${words(globalFlags)}' -- "$word")) ;;
  esac
}
complete -F _ecs_node ecs-node
`;
}

function bashValue({ choices, completes }: Flag): string {
  if (choices !== undefined) return `COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$word"))`;
  if (completes === 'folder') return 'COMPREPLY=($(compgen -d -- "$word"))';
  if (completes === 'file') return 'COMPREPLY=($(compgen -f -- "$word"))';
  return 'COMPREPLY=()';
}

// ---------------------------------------------------------------- zsh

export function renderZsh(table: CommandTable): string {
  const { globalFlags } = table;
  const visible = visibleOf(table);
  const cases = visible.map((command) => {
    const { operand } = command;
    const operandSpec =
      operand === undefined
        ? []
        : [`'1:${operand.name}:${operand.choices ? `(${operand.choices.join(' ')})` : '_files'}'`];
    const specs = [...flagsOf(table, command).map(zshFlag), ...operandSpec];
    return `        ${command.name})\n          _arguments -s ${specs.join(' \\\n            ')} ;;`;
  });
  return `#compdef ecs-node
# zsh completion for ecs-node; made by "ecs-node completion zsh"
_ecs_node() {
  local context state line
  typeset -A opt_args
  local -a commands=(
${visible.map(({ name, summary }) => `    ${quoteZsh(`${name}:${summary}`)}`).join('\n')}
  )
  _arguments -C ${globalFlags.map(zshFlag).join(' \\\n    ')} '1: :->command' '*:: :->rest'
  case $state in
    command) _describe command commands ;;
    rest)
      case $line[1] in
${cases.join('\n')}
      esac ;;
  esac
}
# Read with "source" it registers itself; as a file in fpath zsh calls it.
if [ "$funcstack[1]" = "_ecs_node" ]; then _ecs_node "$@"; else compdef _ecs_node ecs-node; fi
`;
}

function zshFlag({ name, value, repeated, choices, completes, help }: Flag): string {
  const text = help.replaceAll(/[[\]:]/g, (special) => `\\${special}`);
  const action = choices
    ? `(${choices.join(' ')})`
    : completes === 'folder'
      ? '_files -/'
      : completes === 'file'
        ? '_files'
        : ' ';
  const spec = value === undefined ? `--${name}[${text}]` : `--${name}[${text}]:${value}:${action}`;
  return quoteZsh(`${repeated ? '*' : ''}${spec}`);
}

function quoteZsh(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

// ---------------------------------------------------------------- fish

export function renderFish(table: CommandTable): string {
  const { globalFlags } = table;
  const visible = visibleOf(table);
  const names = visible.map(({ name }) => name).join(' ');
  const none = `not __fish_seen_subcommand_from ${names}`;
  return [
    '# fish completion for ecs-node; made by "ecs-node completion fish"',
    'complete -c ecs-node -f',
    ...visible.map(
      ({ name, summary }) => `complete -c ecs-node -n ${quoteFish(none)} -a ${name} -d ${quoteFish(summary)}`,
    ),
    ...globalFlags.map((flag) => `complete -c ecs-node ${fishFlag(flag)}`),
    ...visible.flatMap((command) => {
      const here = `complete -c ecs-node -n ${quoteFish(`__fish_seen_subcommand_from ${command.name}`)}`;
      const { operand } = command;
      const operands =
        operand === undefined
          ? []
          : [operand.choices ? `${here} -a ${quoteFish(operand.choices.join(' '))}` : `${here} -F`];
      return [...command.flags.map((flag) => `${here} ${fishFlag(flag)}`), ...operands];
    }),
    '',
  ].join('\n');
}

function fishFlag({ name, value, choices, completes, help }: Flag): string {
  const argument =
    value === undefined
      ? ''
      : choices
        ? ` -x -a ${quoteFish(choices.join(' '))}`
        : completes === undefined
          ? ' -x'
          : ' -r -F';
  return `-l ${name}${argument} -d ${quoteFish(help)}`;
}

function quoteFish(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
