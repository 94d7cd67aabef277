/** Registers the node where its team reaches it. */

import { deregister, registrarOf } from '../registrars/registrars.ts';
import type { Step } from '../step.ts';

export const register: Step = {
  name: 'register',
  async run(host, config, trail, signal) {
    const before = trail.registered;
    const moved =
      before !== undefined &&
      (before.registrar !== config.registrar ||
        (before.stackId !== undefined && before.stackId !== trail.place?.stackId));
    if (moved) {
      host.log.info('leaving the former registrar', { ...before });
      await deregister(host, before, signal);
      delete trail.registered;
      await trail.keep();
    }
    return registrarOf(config).register(host, config, trail, signal);
  },
};
