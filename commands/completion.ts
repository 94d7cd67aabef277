/** `ecs-node completion`: scripts for bash, zsh and fish. */

import type { Run } from './command.ts';
import { renderBash, renderFish, renderZsh } from './render-completion.ts';

const renderers = { bash: renderBash, zsh: renderZsh, fish: renderFish };

export const completion: Run = async ({ print, table }, { operands: [shell] }) => {
  print(renderers[shell as keyof typeof renderers](table));
  return 0;
};
