// Measures one bootstrap by the binary beside the bash script that it replaces, on the same
// simulated AWS over TLS.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Bootstrap, WorldOptions } from './bootstrap-world.ts';
import { median, renderSpread } from './measure.ts';
import type { Part } from './part.ts';

const run = promisify(execFile);

/** The last size shows whether any figure grows with the stack. */
const stackSizes = [10, 100, 1000] as const;

export const measureBootstrap: Part = async ({ binary, rounds, say }) => {
  const found = await findScriptsNeeds();
  if ('missing' in found) say(`The script is left out: ${found.missing}.`);
  const orders: WorldOptions = { binary, rounds, stackSizes, ...('cli' in found && { cli: found.cli }) };
  const bootstraps = await live(orders, 'cli' in found, say);
  const whole = bootstraps.filter(({ hurried }) => !hurried);
  const hurried = bootstraps.filter((each) => each.hurried);
  return {
    bootstrap: renderBootstraps(
      whole.filter(({ large }) => !large),
      { cpu: '1/30' },
    ),
    'bootstrap-with-an-installer-of-6.4-MB': renderBootstraps(
      whole.filter(({ large }) => large),
      { cpu: '1/20', peak: '≤ 90' },
    ),
    'stack-size': renderStackSizes(hurried),
  };
};

/** The script needs root for the namespaces, and an AWS CLI older than the removal of OpsWorks. */
async function findScriptsNeeds(): Promise<{ cli: string } | { missing: string }> {
  if (process.getuid?.() !== 0) return { missing: 'it needs root, to have 169.254.169.254 for itself' };
  for (const tool of ['/usr/bin/unshare', '/usr/bin/jq', '/usr/bin/curl', '/usr/bin/aws']) {
    const there = await access(tool).then(
      () => true,
      () => false,
    );
    if (!there) return { missing: `there is no ${tool} (apt-get install awscli jq curl)` };
  }
  // Without arguments the CLI fails: it names either the missing arguments or an unknown command.
  const { stderr } = await run('/usr/bin/aws', ['opsworks', 'register']).catch((error: { stderr: string }) => error);
  return /--stack-id/.test(stderr) ? { cli: '/usr/bin/aws' } : { missing: 'this AWS CLI has no "opsworks register"' };
}

async function live(orders: WorldOptions, withScript: boolean, say: (text: string) => void): Promise<Bootstrap[]> {
  const program = [process.execPath, join(import.meta.dirname, 'bootstrap-world.ts')];
  const namespaces = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const [file, ...args] = withScript ? [...namespaces, ...program] : program;
  const world = spawn(file!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  world.stdin.end(JSON.stringify(orders));
  const ended = once(world, 'close');
  const bootstraps: Bootstrap[] = [];
  for await (const line of createInterface({ input: world.stdout })) {
    const bootstrap = JSON.parse(line) as Bootstrap;
    bootstraps.push(bootstrap);
    const { contender, stackSize, large, cpuMs, wallMs } = bootstrap;
    const installer = large ? ', large installer' : '';
    say(
      `${contender}, ${stackSize} others in the stack${installer}: ${cpuMs.toFixed(0)} ms CPU, ${(wallMs / 1000).toFixed(1)} s`,
    );
  }
  const [code] = (await ended) as [number | null];
  if (code !== 0) throw new Error(`the simulated account ended with ${code}`);
  return bootstraps;
}

function renderBootstraps(bootstraps: Bootstrap[], target: { cpu: string; peak?: string }): string[][] {
  const services = [...new Set(bootstraps.flatMap(({ calls }) => Object.keys(calls)))].toSorted();
  const sides = (['ecs-node', 'script'] as const).filter((side) =>
    bootstraps.some(({ contender }) => contender === side),
  );
  const installerMs = median(bootstraps.filter(({ contender }) => contender === 'installer').map(({ cpuMs }) => cpuMs));
  const row = (name: string, digits: number, pick: (bootstrap: Bootstrap) => number, toReach = '') => {
    const values = sides.map((side) => bootstraps.filter(({ contender }) => contender === side).map(pick));
    const [ours, theirs] = values.map(median);
    const share = ours === undefined || theirs === undefined || ours === 0 ? '' : `1/${(theirs / ours).toFixed(1)}`;
    return [name, ...values.map((each) => renderSpread(each, digits)), ...(sides.length > 1 ? [share] : []), toReach];
  };
  return [
    ['', ...sides, ...(sides.length > 1 ? ['share'] : []), 'target'],
    row('CPU ms', 0, ({ cpuMs }) => cpuMs, target.cpu),
    row('… without the installer, which both start', 0, ({ cpuMs }) => cpuMs - installerMs),
    row('wall s', 1, ({ wallMs }) => wallMs / 1000),
    row('peak MiB of the largest process', 0, ({ peakMiB }) => peakMiB, target.peak),
    row('AWS calls', 0, ({ calls }) => Object.values(calls).reduce((sum, each) => sum + each, 0)),
    ...services.map((service) => row(`… to ${service}`, 0, ({ calls }) => calls[service] ?? 0)),
    row('metadata requests', 0, ({ metadata }) => metadata),
    row('TLS connections', 0, ({ connections }) => connections),
  ];
}

function renderStackSizes(bootstraps: Bootstrap[]): string[][] {
  const sides = (['ecs-node', 'script'] as const).filter((side) =>
    bootstraps.some(({ contender }) => contender === side),
  );
  return [
    ['others in the stack', ...sides.flatMap((side) => [`${side}: OpsWorks calls`, 'kB answered'])],
    ...stackSizes.map((size) => [
      String(size),
      ...sides.flatMap((side) => {
        const own = bootstraps.find(({ contender, stackSize }) => contender === side && stackSize === size)!;
        return [String(own.calls['opsworks']), (own.opsworksBytes / 1000).toFixed(0)];
      }),
    ]),
  ];
}
