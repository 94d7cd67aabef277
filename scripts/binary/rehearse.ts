// Runs one short life of a node with the parts in plain Node, so that V8's code caches hold the
// functions that a node needs.
//
// A cache that is made before any code has run holds hardly more than the outermost functions. V8
// then compiled the rest at every start, which was a sixth of a bootstrap's CPU time.
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openMachine } from '../../simulator/machine.ts';
import { layerId, stackId, startSimulator } from '../../simulator/simulator.ts';
import { waitFor } from '../../simulator/wait-for.ts';

/**
 * Returns V8's code caches by part. They are valid for this architecture, this Node and exactly
 * these parts.
 */
export async function rehearse(parts: ReadonlyMap<string, string>): Promise<Map<string, Buffer>> {
  const folder = await mkdtemp(join(tmpdir(), 'ecs-node-rehearsal-'));
  try {
    for (const [name, text] of parts) await writeFile(join(folder, name), text, 'latin1');
    const program = join(folder, 'run-parts.cjs');
    await copyFile(fileURLToPath(new URL('run-parts.cjs', import.meta.url)), program);
    await live(program, join(folder, 'node'));
    const caches = new Map<string, Buffer>();
    for (const name of parts.keys()) {
      const cache = await readFile(join(folder, `${name}.cache`)).catch(() => undefined);
      if (cache) caches.set(name, cache);
    }
    return caches;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * A node registers in OpsWorks, joins, runs its watchers, gets an interruption notice, and leaves.
 */
async function live(program: string, root: string): Promise<void> {
  const simulator = await startSimulator({ settings: { opsworks: { registeringMs: 300 } } });
  const { id } = await simulator.verbs.launch({ purchase: 'spot' });
  const binary = `${root}.sh`;
  await writeFile(binary, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, { mode: 0o755 });
  const settings = {
    cluster: 'demo',
    registrar: 'opsworks',
    'opsworks.stack': stackId,
    'opsworks.layer': layerId,
    'ecs.introspectionEndpoint': simulator.introspectionEndpoint(id),
    'metrics.everySeconds': 10,
    'disk.checkSeconds': 1,
  };
  const machine = await openMachine({
    binary,
    root,
    environment: { ...simulator.environmentFor(id), ECS_NODE_RECORD: 'yes' },
    flags: Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
    startEcsAgent: (cluster) => simulator.verbs.startEcsAgent(id, cluster),
    stopEcsAgent: () => simulator.verbs.stopEcsAgent(id),
  });
  try {
    const code = await machine.boot();
    if (code !== 0) throw new Error(`the rehearsed bootstrap ended with ${code}`);
    await waitFor('its first metrics', () => simulator.calls.find({ operation: 'PutMetricData' }).length > 0);
    simulator.verbs.noticeSpot(id);
    await waitFor(
      'its departure',
      () => simulator.calls.find({ operation: 'UpdateContainerInstancesState' }).length > 0,
    );
    await machine.stop();
  } finally {
    await machine.close();
    await simulator.close();
  }
}
