/** Chooses the node's host name: from the template, from OpsWorks, or the one that EC2 gave. */

import type { Step } from '../step.ts';
import { renderHostname } from '../naming.ts';
import { ask } from '../waiting.ts';

export const hostname: Step = {
  name: 'hostname',
  async run(host, config, trail, signal) {
    const before = trail.hostname;
    const layerId = trail.place?.layerId;
    // Once registering has begun, OpsWorks may know the node by this name: it stays.
    const inOpsWorks = layerId !== undefined && trail.registered?.registrar === 'opsworks';
    if (before !== undefined && inOpsWorks && trail.registered?.id !== undefined) return 'unchanged';
    const wanted = await renderHostname(host, config, trail, signal);
    if (wanted !== undefined) trail.hostname = wanted;
    else if (layerId === undefined) trail.hostname = host.identity.hostname;
    else if (before === undefined || !inOpsWorks) {
      trail.hostname = await ask(host, trail, signal, (inner) => host.cloud.suggestHostname(layerId, inner));
    }
    return trail.hostname === before ? 'unchanged' : 'changed';
  },
};
