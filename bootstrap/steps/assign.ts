/** Puts the registered node into its layer, which runs the layer's recipes. */

import { registrarOf } from '../registrars/registrars.ts';
import type { Step } from '../step.ts';

export const assign: Step = {
  name: 'assign',
  run: async (host, config, context, signal) =>
    (await registrarOf(config).assign?.(host, config, context, signal)) ?? 'skipped',
};
