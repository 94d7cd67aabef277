/** Chooses the node's host name: from the template, from OpsWorks, or the one that EC2 gave. */

import type { Step } from '../step.ts';
import { renderHostname } from '../naming.ts';
import { ask } from '../waiting.ts';

export const hostname: Step = {
  name: 'hostname',
  async run(host, config, trail, signal) {
    const before = trail.hostname;
    const { place } = trail;
    // Once registering has begun, OpsWorks may know the node by this name: it stays.
    const inOpsWorks = place !== undefined && trail.registered?.registrar === 'opsworks';
    if (before !== undefined && inOpsWorks && trail.registered?.id !== undefined) return 'unchanged';
    const wanted = await renderHostname(host, config, trail, signal);
    if (wanted !== undefined) trail.hostname = wanted;
    else if (place === undefined) trail.hostname = host.identity.hostname;
    else if (before === undefined || !inOpsWorks) {
      const suggest = (inner: AbortSignal) => host.cloud.suggestHostname(place.layerId, inner);
      trail.hostname = place.suggested ??= await ask(host, trail, signal, suggest);
    }
    return trail.hostname === before ? 'unchanged' : 'changed';
  },
};
