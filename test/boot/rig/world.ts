/**
 * Runs inside a world: makes its network, its AWS and one machine, and runs the scenario. Exits
 * with 0 if every check passed.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createReadStream } from 'node:fs';
import { access, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { openAws, type Aws } from './aws.ts';
import type { Layers } from './layers.ts';
import { openMachine, type Machine } from './machine.ts';
import type { Scenario, World } from './contract.ts';
import { run } from './tools.ts';
import { until } from './until.ts';

interface Orders {
  scenario: string;
  layers: Layers;
  release: string;
  place: string;
  words: string;
  limitMs: number;
}

const [line] = (await once(createInterface(process.stdin), 'line')) as [string];
const orders = JSON.parse(line) as Orders;
// The test that asked for this world has ended.
process.stdin.on('end', () => process.exit(1)).resume();
const { scenario } = (await import(join(orders.scenario, 'scenario.ts'))) as { scenario: Scenario };
const began = performance.now();

await openNetwork();
const userData = await readFile(join(orders.scenario, 'user-data'), 'utf8').catch(() => undefined);
const machine = await openMachine(orders.layers, scenario.image ?? 'baked', orders.place);
// EC2 presses the power button, and the machine shuts down in order.
const aws = await openAws(scenario.aws ?? {}, userData, () => {
  if (machine.isRunning) void machine.run('/usr/bin/systemctl', 'poweroff');
});
const mirror = new Map<string, Buffer>();
await serveEcsAgent(aws);
await serveRelease(orders.release);

const late = setTimeout(() => void end(new Error(`not over within ${orders.limitMs / 1000} s`)), orders.limitMs);
const world: World = {
  aws,
  machine,
  release: orders.release,
  async tamper(name, change) {
    const bytes = await readFile(join(orders.release, name));
    mirror.set(name, change(bytes) ?? bytes);
  },
  until,
};
try {
  await scenario.live(world);
  await end();
} catch (error) {
  await end(error);
}

/** Adds the metadata service's address to this namespace's own loopback. */
async function openNetwork(): Promise<void> {
  await run('ip', 'link', 'set', 'lo', 'up');
  await run('ip', 'address', 'add', '169.254.169.254/32', 'dev', 'lo');
  // Otherwise the kernel could use one of these ports for an outgoing connection, and the ECS agent
  // could not listen there after a reboot.
  await writeFile('/proc/sys/net/ipv4/ip_local_reserved_ports', '51600,51678');
}

/** The stand-in for ecs.service (root/usr/local/lib/stand-ins/ecs) reports its start here. */
async function serveEcsAgent(behind: Aws): Promise<void> {
  const start = (given: URLSearchParams) =>
    behind.startEcsAgent(given.get('cluster') ?? 'default', given.get('checkpoint') === 'true');
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    if (url.pathname === '/ecs-agent/stop') behind.stopEcsAgent();
    else if (!start(url.searchParams)) response.statusCode = 404;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(51600, '127.0.0.1', resolve));
}

async function serveRelease(folder: string): Promise<void> {
  const server = createServer((request, response) => {
    const name = basename(request.url ?? '');
    const file = join(folder, name);
    if (mirror.has(name)) return void response.end(mirror.get(name));
    access(file).then(
      () => createReadStream(file).pipe(response),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(8080, '127.0.0.1', resolve));
}

async function end(error?: unknown): Promise<never> {
  clearTimeout(late);
  await keepWords(machine, aws).catch((trouble: unknown) => console.error(trouble));
  if (error !== undefined) console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  // This is the first process of its namespace, so the machine, network and mounts end with it.
  process.exit(error === undefined ? 0 : 1);
}

/** Writes journal, console and calls to files, for people. */
async function keepWords(box: Machine, behind: Aws): Promise<void> {
  const journal = (await box.readJournal()).map(
    (entry) =>
      `${new Date(Number(entry['__REALTIME_TIMESTAMP']) / 1000).toISOString().slice(11, 23)} ${entry.PRIORITY} ${entry['OBJECT_SYSTEMD_UNIT'] ?? entry._SYSTEMD_UNIT ?? '-'} ${entry.MESSAGE}`,
  );
  await writeFile(join(orders.words, 'journal'), `${journal.join('\n')}\n`);
  await writeFile(join(orders.words, 'console'), await box.readConsole());
  await writeFile(
    join(orders.words, 'calls'),
    `${behind
      .calls()
      .map((call) => JSON.stringify(call))
      .join('\n')}\n`,
  );
  await writeFile(join(orders.words, 'seconds'), `${((performance.now() - began) / 1000).toFixed(1)}\n`);
}
