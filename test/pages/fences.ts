/** The commands in the fenced blocks of a page. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A whole script that begins with `#!`, or one command with its continued lines. */
export function commandsOf(page: string): string[] {
  return blocksOf(page, 'sh').flatMap((block) => (block.startsWith('#!') ? [block] : split(block)));
}

export function blocksOf(page: string, language: string): string[] {
  const text = readFileSync(page, 'utf8');
  return [...text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .filter(([, tag]) => tag === language)
    .map(([, , block]) => block!);
}

/** The shell itself decides where a command ends. */
function split(block: string): string[] {
  const commands: string[] = [];
  let lines: string[] = [];
  for (const line of block.trimEnd().split('\n')) {
    lines.push(line);
    const text = lines.join('\n');
    if (line.endsWith('\\') || !isComplete(text)) continue;
    const command = withoutComment(text);
    if (command !== '') commands.push(command);
    lines = [];
  }
  if (lines.length > 0) throw new Error(`the shell cannot read: ${lines.join('\n')}`);
  return commands;
}

function isComplete(text: string): boolean {
  return spawnSync('sh', ['-n'], { input: text, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0;
}

/** A comment is what follows two or more blanks and a #, or a # at the start. */
function withoutComment(text: string): string {
  return text.replaceAll(/(?:^|\s{2,})#.*$/gm, '').trim();
}
