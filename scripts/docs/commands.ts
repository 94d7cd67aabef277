// Renders docs/commands.md from the table of commands.

import type { Command, CommandTable } from '../../cli/command.ts';
import { renderHelp } from '../../cli/render-help.ts';
import { commandTable } from '../../commands/table.ts';

const head = `<!-- Made by \`npm run docs\` from commands/table.ts. Change it there. -->

# Every command

Each command prints this text with \`--help\`.

`;

export function renderCommands(table: CommandTable = commandTable): string {
  const index = visible(table).map(({ name, summary }) => `- [\`ecs-node ${name}\`](#ecs-node-${name}): ${summary}`);
  const sections = visible(table).map((command) => renderSection(table, command));
  return `${head}${index.join('\n')}\n\n## ecs-node\n\n${fence(renderHelp(table))}\n${sections.join('\n')}`;
}

export function visible({ commands }: CommandTable): Command[] {
  return commands.filter(({ hidden }) => hidden !== true);
}

function renderSection(table: CommandTable, command: Command): string {
  return `## ecs-node ${command.name}\n\n${fence(renderHelp(table, command))}`;
}

function fence(text: string): string {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\`\n`;
}
