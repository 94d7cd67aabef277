/** Chooses the node's host name: from the template, from OpsWorks, or the one that EC2 gave. */

import type { Step } from '../step.ts';
import { renderHostname } from '../naming.ts';
import { callWithRetry } from '../poll.ts';

export const hostname: Step = {
  name: 'hostname',
  async run(host, config, context, signal) {
    const before = context.hostname;
    const { opsworksTarget } = context;
    // Once registration has begun, OpsWorks may know the node by this name, so the name stays.
    const inOpsWorks = opsworksTarget !== undefined && context.registered?.registrar === 'opsworks';
    if (before !== undefined && inOpsWorks && context.registered?.id !== undefined) return 'unchanged';
    const wanted = await renderHostname(host, config, context, signal);
    if (wanted !== undefined) context.hostname = wanted;
    else if (opsworksTarget === undefined) context.hostname = host.identity.hostname;
    else if (before === undefined || !inOpsWorks) {
      const suggest = (callSignal: AbortSignal) => host.cloud.suggestHostname(opsworksTarget.layerId, callSignal);
      context.hostname = opsworksTarget.suggested ??= await callWithRetry(host, context, signal, suggest);
    }
    return context.hostname === before ? 'unchanged' : 'changed';
  },
};
