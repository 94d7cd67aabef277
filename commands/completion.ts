/** `ecs-node completion`: scripts for bash, zsh and fish. */

import type { Run } from '../cli/command.ts';
import { renderBash, renderFish, renderZsh } from '../cli/render-completion.ts';

const renderers = { bash: renderBash, zsh: renderZsh, fish: renderFish };

export const completion: Run = async ({ print, table }, { operands: [shell] }) => {
  print(renderers[shell as keyof typeof renderers](table));
  return 0;
};
