// Measures ecs-node beside programs that do a part of its work, on the same simulated AWS: their
// cost, and how soon they act.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { median, percentile, renderSpread, takeOwn, type Sample } from './measure.ts';
import type { Part } from './part.ts';
import { sides, type Side } from './peers/sides.ts';
import type { Figures, Message, PeerOptions } from './peers/world.ts';

/** The same number of starts as for ecs-node's own start-up figure. */
const starts = 31;

const run = promisify(execFile);

interface Program {
  name: string;
  version: string;
  file: string;
}

interface Missing {
  name: string;
  why: string;
}

export const measurePeers: Part = async ({ binary, minutes, notices, say }) => {
  if (process.getuid?.() !== 0) {
    say('The peers are left out: to serve 169.254.169.254 itself, the benchmark needs root.');
    return {};
  }
  say('Building the peers takes minutes the first time.');
  const { found, missing } = await findPrograms(binary);
  for (const { name, why } of missing) say(`${name} is left out: ${why}`);
  const there = sides.filter(({ program }) => found.some(({ name }) => name === program));
  const programs = await takeOwns(binary, there, found);
  const figures = await live({ programs, minutes, notices, starts }, say);
  return {
    peers: renderCosts(there, figures, minutes),
    'peer-notices': renderNotices(there, figures),
    'peer-commands': renderCommands(there, found, missing),
  };
};

async function findPrograms(binary: string): Promise<{ found: Program[]; missing: Missing[] }> {
  const { stdout } = await run(join(import.meta.dirname, 'peers/get-peers.sh'));
  const { stdout: own } = await run(binary, ['--version']);
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => line.split('\t'));
  return {
    found: [
      { name: 'ecs-node', version: own.trim(), file: binary },
      ...rows.flatMap(([name, version, file]) =>
        version === '-' ? [] : [{ name: name!, version: version!, file: file! }],
      ),
    ],
    missing: rows.flatMap(([name, version, why]) => (version === '-' ? [{ name: name!, why: why! }] : [])),
  };
}

/** Makes one copy for each side: a page shared by two processes would count half for each. */
async function takeOwns(binary: string, there: readonly Side[], found: Program[]): Promise<Record<string, string>> {
  const programs: Record<string, string> = {};
  for (const [index, { name, program }] of there.entries()) {
    const folder = join(dirname(binary), `peer-${index}`);
    await mkdir(folder);
    programs[name] = resolve(await takeOwn(found.find((each) => each.name === program)!.file, folder));
  }
  return programs;
}

async function live(orders: PeerOptions, say: (text: string) => void): Promise<Figures> {
  const namespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const program = [process.execPath, join(import.meta.dirname, 'peers/world.ts')];
  const world = spawn('unshare', [...namespaces, ...program], { stdio: ['pipe', 'pipe', 'inherit'] });
  world.stdin.end(JSON.stringify(orders));
  const ended = once(world, 'close');
  let figures: Figures | undefined;
  for await (const line of createInterface({ input: world.stdout })) {
    const message = JSON.parse(line) as Message;
    if ('say' in message) say(message.say);
    else ({ figures } = message);
  }
  const [code] = (await ended) as [number | null];
  if (code !== 0 || !figures) throw new Error(`the peers' machine ended with ${code}`);
  return figures;
}

function renderCosts(there: readonly Side[], { watched, starts: all }: Figures, minutes: number): string[][] {
  const head = [
    `watched for ${minutes} minutes`,
    'polls every',
    'RSS MiB',
    'PSS MiB',
    'anonymous MiB',
    'peak PSS MiB',
    'CPU s per hour',
  ];
  const rows = there.map(({ name, pollSeconds }, index) => {
    const { samples, asked } = watched[index]!;
    const [first, last] = [samples[0]!, samples.at(-1)!];
    const hours = (last.atMs - first.atMs) / 3_600_000;
    // A child that calls AWS lives for a second every few minutes; it appears in the peak.
    const alone = samples.filter(({ children }) => children === 0);
    const memory = (pick: (sample: Sample) => number) => median(alone.map(pick)).toFixed(1);
    const cpuMs = ({ cpuMs: own, childrenCpuMs }: Sample) => own + childrenCpuMs;
    return [
      name,
      `${pollSeconds} s`,
      memory(({ rssMiB }) => rssMiB),
      memory(({ pssMiB }) => pssMiB),
      memory(({ anonymousMiB }) => anonymousMiB),
      Math.max(...samples.map(({ familyPssMiB }) => familyPssMiB)).toFixed(1),
      ((cpuMs(last) - cpuMs(first)) / 1000 / hours).toFixed(1),
      (asked / hours / 3600).toFixed(2),
      renderSpread(all[index]!.map((start) => start.cpuMs)),
      renderSpread(all[index]!.map((start) => start.wallMs)),
    ];
  });
  return [[...head, 'metadata requests per s', 'start-up CPU ms', 'start-up wall ms'], ...rows];
}

function renderNotices(there: readonly Side[], { notices }: Figures): string[][] {
  const rows = there.map(({ name, pollSeconds, action }, index) => {
    const all = notices[index]!;
    const cells = [median(all), percentile(all, 99), Math.min(...all), Math.max(...all)].map((ms) => ms.toFixed(0));
    return [name, `${pollSeconds} s`, action, String(all.length), ...cells];
  });
  return [['', 'polls every', 'until', 'notices', 'median ms', 'p99', 'least', 'most'], ...rows];
}

function renderCommands(there: readonly Side[], found: Program[], missing: Missing[]): string[][] {
  const version = ({ program }: Side) => found.find(({ name }) => name === program)!.version;
  return [
    ['', 'version', 'command'],
    ...there.map((side) => [side.name, version(side), `\`${side.command}\``]),
    ...missing.map(({ name, why }) => [name, 'left out', why]),
  ];
}
