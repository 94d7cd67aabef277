/**
 * One machine that boots: systemd-nspawn on an overlay of the layers. Its functions look inside and
 * cut its power.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Layers } from './layers.ts';
import { exitOf, run, type Ended } from './tools.ts';

export interface Machine {
  /** The machine's `/`, seen from outside. */
  root: string;
  /**
   * Presses the power button, and returns at once.
   */
  start(): void;
  readonly isRunning: boolean;
  /** Resolves when the machine has powered itself off, or has lost power. */
  stopped(): Promise<void>;
  /** Cuts the power: the machine cannot write its buffers or stop its services. */
  cutPower(): Promise<void>;
  /** Where a process outside finds a path of the running machine, its own /run included. */
  locate(path: string): Promise<string>;
  /** Runs a program inside, as root. */
  run(file: string, ...args: string[]): Promise<Ended>;
  /** Returns the output of `systemctl show`: ActiveState, Result, NRestarts … */
  readUnit(unit: string): Promise<Record<string, string>>;
  /** Mounts a file system of this size on `path`. Works only while the machine is off. */
  attachDisk(path: string, megabytes: number): Promise<void>;
  readText(path: string): Promise<string | undefined>;
  writeText(path: string, text: string, mode?: number): Promise<void>;
  /** The text of the console. */
  readConsole(): Promise<string>;
  /**
   * The journal of all boots, oldest first. The machine may be off. `matches` as for journalctl.
   */
  readJournal(...matches: string[]): Promise<JournalEntry[]>;
}

export interface JournalEntry {
  MESSAGE: string;
  PRIORITY: string;
  _SYSTEMD_UNIT?: string;
  _BOOT_ID: string;
  [field: string]: string | undefined;
}

/** nspawn's exit code if the machine reboots and must be started again. */
const rebooted = 133;

const nspawnOptions = [
  '--quiet',
  // The host may have no systemd.
  '--register=no',
  '--keep-unit',
  '--network-namespace-path=/proc/self/ns/net',
  '--link-journal=no',
  '--resolv-conf=off',
  '--timezone=off',
  // A console without input.
  '--console=read-only',
];

/**
 * Must run in its own mount, process and network namespace (world.ts). Everything that it makes
 * ends with the namespace.
 */
export async function openMachine(layers: Layers, image: 'stock' | 'baked', folder: string): Promise<Machine> {
  await run('mount', '-t', 'tmpfs', '-o', 'size=1G', 'tmpfs', folder);
  const [root, upper, work] = ['root', 'upper', 'work'].map((name) => join(folder, name)) as [string, string, string];
  for (const made of [root, upper, work]) await mkdir(made);
  const lower = [...(image === 'baked' ? [layers.baked] : []), layers.stock, layers.base].join(':');
  await run('mount', '-t', 'overlay', '-o', `lowerdir=${lower},upperdir=${upper},workdir=${work}`, 'overlay', root);
  const screen = join(folder, 'console');
  const off = new EventEmitter();
  let nspawn: ChildProcess | undefined;

  const machine: Machine = {
    root,
    start() {
      if (machine.isRunning) throw new Error('the machine is on already');
      // Needs a unique name, because machines of other worlds share nspawn's runtime folders in
      // /run.
      const name = `ecs-node-${process.env['ECS_NODE_WORLD']}`;
      nspawn = spawn('systemd-nspawn', [...nspawnOptions, `--directory=${root}`, `--machine=${name}`, '--boot'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      for (const stream of [nspawn.stdout!, nspawn.stderr!]) stream.pipe(createWriteStream(screen, { flags: 'a' }));
      nspawn.on('exit', (code) => {
        if (code === rebooted) machine.start();
        else off.emit('off');
      });
    },
    get isRunning() {
      return nspawn !== undefined && nspawn.exitCode === null && nspawn.signalCode === null;
    },
    async stopped() {
      if (machine.isRunning) await once(off, 'off');
    },
    async cutPower() {
      if (!machine.isRunning) return;
      // Kills the init first: it would notice the death of nspawn and shut down in order.
      const init = await readLeader(nspawn!.pid!);
      process.kill(init, 'SIGKILL');
      nspawn!.kill('SIGKILL');
      await machine.stopped();
      await appendFile(screen, '\n*** power lost ***\n');
    },
    locate: async (path) => `/proc/${await readLeader(nspawn!.pid!)}/root${path}`,
    async run(file, ...args) {
      const leader = await readLeader(nspawn!.pid!);
      return exitOf(
        'nsenter',
        `--target=${leader}`,
        '--mount',
        '--uts',
        '--ipc',
        '--pid',
        '--root',
        '--wd',
        file,
        ...args,
      );
    },
    async readUnit(unit) {
      const { stdout } = await machine.run('/usr/bin/systemctl', 'show', unit);
      return Object.fromEntries(
        stdout.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      );
    },
    async attachDisk(path, megabytes) {
      const image = join(folder, 'disk');
      await run('truncate', `--size=${megabytes}M`, image);
      await run('mkfs.ext4', '-q', '-F', image);
      await mkdir(join(root, path), { recursive: true });
      // The kernel releases the loop device when the mount ends with its namespace.
      await run('mount', '-o', 'loop', image, join(root, path));
    },
    readText: (path) => readFile(join(root, path), 'utf8').catch(() => undefined),
    async writeText(path, text, mode = 0o644) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text, { mode });
    },
    readConsole: () => readFile(screen, 'utf8').catch(() => ''),
    async readJournal(...matches) {
      const { stdout } = await exitOf(
        'journalctl',
        `--directory=${join(root, 'var/log/journal')}`,
        '--output=json',
        '--no-pager',
        '--quiet',
        ...matches,
      );
      return stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as JournalEntry);
    },
  };
  return machine;
}

/** The machine's init, a child of nspawn, by its process id outside. */
async function readLeader(nspawn: number): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const children = await readFile(`/proc/${nspawn}/task/${nspawn}/children`, 'utf8').catch(() => '');
    const first = children
      .trim()
      .split(' ')
      .findLast((pid) => pid !== '');
    if (first !== undefined) return Number(first);
    await pause(50);
  }
  throw new Error('the machine has no init: it is off');
}
