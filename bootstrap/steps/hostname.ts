/** Chooses the node's host name: from the template, from its registrar, or the one EC2 gave. */

import { registrarTraits } from '../../core/state/state.ts';
import { renderHostname } from '../naming.ts';
import { registrarOf } from '../registrars/registrars.ts';
import type { Step } from '../step.ts';

export const hostname: Step = {
  name: 'hostname',
  async run(host, config, context, signal) {
    const before = context.hostname;
    const { registrar } = config;
    const { suggestHostname } = registrarOf(config);
    // Once registration has begun, the registrar may know the node by this name, so the name stays.
    const isKnownThere = registrarTraits[registrar].keepsHostname && context.registered?.registrar === registrar;
    if (before !== undefined && isKnownThere && context.registered?.id !== undefined) return 'unchanged';
    const wanted = await renderHostname(host, config, context, signal);
    if (wanted !== undefined) context.hostname = wanted;
    else if (suggestHostname === undefined) context.hostname = host.identity.hostname;
    else if (before === undefined || !isKnownThere) context.hostname = await suggestHostname(host, context, signal);
    return context.hostname === before ? 'unchanged' : 'changed';
  },
};
