/** Registers the node with the configured registrar, through which its team reaches it. */

import { deregister, registrarOf } from '../registrars/registrars.ts';
import type { Step } from '../step.ts';

export const register: Step = {
  name: 'register',
  async run(host, config, context, signal) {
    const before = context.registered;
    const registrar = registrarOf(config);
    const moved =
      before !== undefined &&
      (before.registrar !== config.registrar || registrar.isElsewhere?.(before, context) === true);
    if (moved) {
      host.log.info('leaving the former registrar', { ...before });
      await deregister(host, before, signal);
      delete context.registered;
      await context.save();
    }
    return registrar.register(host, config, context, signal);
  },
};
