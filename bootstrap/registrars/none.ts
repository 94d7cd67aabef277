/** No registrar: the team has another way to reach its nodes. */

import type { Registrar } from './registrar.ts';

export const none: Registrar = {
  async register(_host, _config, context) {
    context.registered = { registrar: 'none' };
    return 'skipped';
  },
  async deregister() {},
};
