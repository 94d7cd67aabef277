/** No registrar: the team has another way to reach its nodes. */

import type { Registrar } from './registrar.ts';

export const none: Registrar = {
  async register(_host, _config, trail) {
    trail.registered = { registrar: 'none' };
    return 'skipped';
  },
  async leave() {},
};
