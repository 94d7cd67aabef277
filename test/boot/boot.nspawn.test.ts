// Boots real machines: systemd, cloud-init and the shipped binary. Each machine has its own
// namespaces, with the simulator behind 169.254.169.254.
//
// Each folder beside this file is a scenario, and its name is the test's title. BOOT=spot npm run
// test:boot runs those that match. Needs root and the packages in apt-packages. The first run makes
// a Debian root in ~/.cache/ecs-node/boot. out/boot/ keeps each machine's journal and console.
import { existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, inject, test } from 'vitest';
import { openProgress } from '../../scripts/progress.ts';
import { ensureBase } from './rig/base.ts';
import { type Layers, layOut } from './rig/layers.ts';
import { makePackages, makeRelease } from './rig/release.ts';
import { openTurnstile } from './rig/turnstile.ts';
import { live } from './rig/worlds.ts';

// A boot mostly waits, but cloud-init takes a second of CPU time.
const atOnce = Number(process.env['BOOT_AT_ONCE'] ?? 4);
const turnstile = openTurnstile(atOnce);

const only = process.env['BOOT'] ?? '';
const scenarios = globSync('*/scenario.ts', { cwd: import.meta.dirname })
  .map((file) => dirname(file))
  .filter((name) => name.includes(only))
  .toSorted();

// Not /tmp: the layers are folders that an overlay needs on a real file system.
sweep();
const folder = mkdtempSync(`/var/tmp/ecs-node-boot-${process.pid}-`);
let layers: Layers;
let release: string;

beforeAll(async () => {
  layers = await layOut(folder, await ensureBase(['rpm']), inject('binary'));
  release = join(folder, 'published');
  await makeRelease(release, layers.release);
  await makePackages(release, layers.release);
}, 600_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Removes the folders of runs that were killed. Their mounts ended with them. */
function sweep(): void {
  for (const name of globSync('ecs-node-boot-*', { cwd: '/var/tmp' })) {
    const owner = /^ecs-node-boot-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) rmSync(join('/var/tmp', name), { recursive: true });
  }
}

const sentences = scenarios.map((name) => name.replaceAll('-', ' '));

const progress = openProgress({ name: 'boot', total: sentences.length });
let ended = 0;

// The timeout includes the wait for a turn. worlds.ts limits the scenario itself.
test.concurrent.for(sentences)('%s', { timeout: 1_800_000 }, async (sentence, { signal, expect }) => {
  const scenario = join(import.meta.dirname, sentence.replaceAll(' ', '-'));
  const trouble = await turnstile(() => {
    progress.at(sentence, ended);
    return live({ scenario, layers, release, folder, signal });
  });
  ended += 1;
  expect(trouble).toBe('');
});
