/** Registers the node with the configured registrar, through which its team reaches it. */

import { deregister, registrarOf } from '../registrars/registrars.ts';
import type { Step } from '../step.ts';

export const register: Step = {
  name: 'register',
  async run(host, config, context, signal) {
    const before = context.registered;
    const moved =
      before !== undefined &&
      (before.registrar !== config.registrar ||
        (before.stackId !== undefined && before.stackId !== context.opsworksTarget?.stackId));
    if (moved) {
      host.log.info('leaving the former registrar', { ...before });
      await deregister(host, before, signal);
      delete context.registered;
      await context.save();
    }
    return registrarOf(config).register(host, config, context, signal);
  },
};
