import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { renderBash, renderFish, renderZsh } from '../../../cli/render-completion.ts';
import { commands, commandTable } from '../../../commands/table.ts';
import { registrarNames } from '../../../core/state/state.ts';

/** Returns the words that bash offers after these. */
function complete(...words: string[]): string[] {
  const script = `${renderBash(commandTable)}
COMP_WORDS=(ecs-node "$@"); COMP_CWORD=$#; _ecs_node; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script, 'bash', ...words], {
    encoding: 'utf8',
    cwd: 'config',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash accepts the script without a message', () => {
  expect(spawnSync('bash', ['-n'], { input: renderBash(commandTable), encoding: 'utf8' })).toMatchObject({
    status: 0,
    stderr: '',
  });
});

test('bash offers commands, then their flags, then the values of these', () => {
  expect(complete('st')).toEqual(['status', 'stay']);
  expect(complete('status', '--j')).toEqual(['--json']);
  expect(complete('--root', '/x', 'configure', '--clu')).toEqual(['--cluster']);
  expect(complete('configure', '--registrar', '')).toEqual(registrarNames);
  expect(complete('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']));
  expect(complete('check', 'config')).toContain('config.ts');
  expect(complete('configure', '--cluster', '')).toEqual([]);
});

test('internal commands are not offered', () => {
  for (const { name } of commands.filter(({ hidden }) => hidden === true)) {
    expect(complete('')).not.toContain(name);
    for (const script of [renderZsh(commandTable), renderFish(commandTable)])
      expect(script).not.toMatch(new RegExp(`\\b${name}\\b.*Answer one AWS|-a ${name} `));
  }
});

test('zsh and fish know every command and flag', () => {
  for (const script of [renderZsh(commandTable), renderFish(commandTable)]) {
    for (const { name, flags } of commands.filter(({ hidden }) => hidden !== true)) {
      expect(script).toContain(name);
      for (const flag of flags) expect(script).toMatch(new RegExp(`(--|-l )${flag.name}\\b`));
    }
  }
});
