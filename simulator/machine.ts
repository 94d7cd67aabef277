/**
 * A machine that stands for one EC2 instance. A folder is its root, and programs stand in for
 * systemd, Docker and the disk.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, watch, type FSWatcher } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { openShell } from './node/shell.ts';

export interface MachineOptions {
  /** The absolute path of ecs-node. */
  binary: string;
  /**
   * The folder that becomes the machine's `/`. Keep it short: a path of Docker's socket has at most
   * 107 characters.
   */
  root: string;
  /** The standard AWS variables for a process on this instance. */
  environment: Readonly<Record<string, string>>;
  /** The flags with which the user data runs `ecs-node configure`. */
  flags: readonly string[];
  /**
   * Plays the real ECS agent, which reads the cluster that bootstrap wrote. Returns false if the
   * agent exited at once, as it does without a cluster or credentials (exit code 5). Without its
   * checkpoint it registers anew.
   */
  startEcsAgent: (cluster: string, hasCheckpoint: boolean) => boolean | void;
  stopEcsAgent: () => void;
  onPowerOff?: () => void;
  /**
   * Starts a real Docker below the root; the disks are then the machine's own. By default the
   * machine simulates Docker and the disk.
   */
  startDocker?: (root: string) => Promise<{ close(): Promise<void> }>;
  /** False: systemd does not start a killed agent again. */
  restartsAgent?: boolean;
  /** Receives every parsed line that the binary logs. */
  onLog?: (line: LogLine) => void;
}

export interface LogLine {
  time: string;
  level: string;
  message: string;
  [field: string]: unknown;
}

export interface Machine {
  readonly root: string;
  /**
   * Boots the machine: user data on the first boot, then bootstrap, ECS and the agent. Resolves
   * with bootstrap's exit code while the agent runs on.
   */
  boot(): Promise<number>;
  /** Runs one command of the binary and waits for it. */
  run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** Runs a shell script as root on this machine, as Run Command does. */
  shell(script: string): Promise<{ code: number; stdout: string; stderr: string }>;
  /** Sets the used share of the only disk, in percent, as `df` reports it. */
  fillDisk(usedPercent: number): Promise<void>;
  /**
   * Adds an image to Docker that no container uses. Removing it brings the disk to `usedPercent`.
   */
  prunesTo(usedPercent: number): void;
  /** Returns the names of the images in Docker. */
  images(): string[];
  /** Sends SIGKILL to the running process. */
  kill(): void;
  /** Sends SIGTERM to the agent, as systemd does; resolves with the agent's exit code. */
  stop(): Promise<number>;
  /** The process of the agent or of bootstrap, while it runs. */
  readonly process: ChildProcess | undefined;
  /** Resolves when the running process ends. */
  ended(): Promise<number>;
  close(): Promise<void>;
}

const diskKilobytes = 31_444_972; // The 30 GB root volume of the ECS-optimized image

/** Makes the folder and its stand-in programs; nothing runs until `boot`. */
export async function openMachine(options: MachineOptions): Promise<Machine> {
  const { root, binary } = options;
  const tools = join(root, '.stand-ins');
  const used = join(tools, 'disk-used-percent');
  let images = [agentImage];
  let child: ChildProcess | undefined;
  let configured = false;

  await layOut(root, tools);
  await writeFile(used, '20\n');
  if (options.startDocker === undefined) await simulateDisk(root, tools);
  const real = await options.startDocker?.(root);
  const docker =
    real ??
    (await serveDocker(join(root, 'var/run/docker.sock'), {
      list: () => images,
      async remove(id) {
        const image = images.find((each) => each.id === id);
        if (image === undefined) return false;
        images = images.filter((each) => each !== image);
        if (image.leaves !== undefined) await writeFile(used, `${image.leaves}\n`);
        return true;
      },
    }));
  const systemd = followSystemctl(join(tools, 'systemctl.log'), (verb) => {
    if (verb.includes('restart') && verb.includes('ecs')) void finishBeforeClosing(restartEcsAgent());
    if (verb.includes('stop') && verb.includes('ecs')) void finishBeforeClosing(stopEcsAgent());
    if (verb.startsWith('kill ') && verb.includes('ecs-node')) void finishBeforeClosing(restartKilledAgent());
    if (verb.includes('poweroff')) options.onPowerOff?.();
  });

  const shell = await openShell({ root, tools, binary, environment: options.environment, used });

  let isClosing = false;
  const works = new Set<Promise<unknown>>();

  /** A machine whose folder is removed under its feet would fail the test beside it. */
  async function finishBeforeClosing<T>(work: Promise<T>): Promise<T> {
    works.add(work);
    return work.finally(() => works.delete(work));
  }

  /** As the unit says: Restart=always. */
  async function restartKilledAgent(): Promise<void> {
    if (child === undefined) return;
    child.kill('SIGKILL');
    await exitOf(child);
    if (options.restartsAgent !== false) start(['agent']);
  }

  async function restartEcsAgent(): Promise<void> {
    options.stopEcsAgent();
    await startEcsAgent();
  }

  async function stopEcsAgent(): Promise<void> {
    options.stopEcsAgent();
    await writeFile(join(tools, 'ecs-state'), 'inactive\n');
  }

  async function startEcsAgent(): Promise<void> {
    const text = await readFile(join(root, 'etc/ecs/ecs.config'), 'utf8').catch(() => '');
    const cluster = /^ECS_CLUSTER=["']?([^"'\n]+)/m.exec(text)?.[1] ?? 'default';
    const checkpoint = join(root, 'var/lib/ecs/data/agent.db');
    const runs = options.startEcsAgent(cluster, existsSync(checkpoint));
    if (runs !== false) await writeFile(checkpoint, '');
    await writeFile(join(tools, 'ecs-state'), runs === false ? 'failed\n' : 'active\n');
  }

  function start(args: readonly string[]): ChildProcess {
    const started = spawn(binary, ['--root', root, '--log-format', 'json', ...args], {
      env: { ...options.environment, PATH: '/usr/bin:/bin' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    createInterface({ input: started.stderr }).on('line', (line) => options.onLog?.(parseLine(line)));
    started.stdout.resume();
    if (isClosing) started.kill('SIGKILL');
    child = started;
    return started;
  }

  async function boot(): Promise<number> {
    if (!configured && options.flags.length > 0) {
      const code = await exitOf(start(['configure', ...options.flags]));
      if (code !== 0) return code;
    }
    configured = true;
    const code = await exitOf(start(['bootstrap']));
    if (code !== 0) return code;
    await startEcsAgent();
    start(['agent']);
    return 0;
  }

  return {
    root,
    get process() {
      return child?.exitCode === null && child.signalCode === null ? child : undefined;
    },
    boot: () => finishBeforeClosing(boot()),
    async run(args) {
      const started = spawn(binary, ['--root', root, ...args], {
        env: { ...options.environment, PATH: '/usr/bin:/bin' },
      });
      const [stdout, stderr] = [collect(started.stdout), collect(started.stderr)];
      return { code: await exitOf(started), stdout: stdout(), stderr: stderr() };
    },
    shell,
    fillDisk: (percent) => writeFile(used, `${percent}\n`),
    prunesTo(percent) {
      images = [
        agentImage,
        { id: `sha256:${'2'.repeat(64)}`, name: 'app:1', createdAt: 1_700_000_000, leaves: percent },
      ];
    },
    images: () => images.map(({ name }) => name),
    kill() {
      child?.kill('SIGKILL');
    },
    async stop() {
      if (!child) return 0;
      const code = exitOf(child);
      child.kill('SIGTERM');
      return code;
    },
    ended: () => (child ? exitOf(child) : Promise.resolve(0)),
    async close() {
      isClosing = true;
      child?.kill('SIGKILL');
      systemd.close();
      await Promise.allSettled(works);
      await docker.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Makes the folders of a machine, and programs that only record their calls. */
async function layOut(root: string, tools: string): Promise<void> {
  for (const folder of [
    'etc/ecs',
    'var/lib/ecs/data',
    'etc/docker',
    'var/lib/docker',
    'var/run',
    'run',
    'usr/bin',
    'dev',
  ]) {
    await mkdir(join(root, folder), { recursive: true });
  }
  await mkdir(tools, { recursive: true });
  await writeFile(join(tools, 'systemctl.log'), '');
  await writeFile(join(tools, 'ecs-state'), 'inactive\n');
  await program(
    join(root, 'usr/bin/systemctl'),
    `if [ "$1" = is-active ]; then cat '${join(tools, 'ecs-state')}'; exit 0; fi
echo "$*" >> '${join(tools, 'systemctl.log')}'`,
  );
}

/** Simulates one disk; a file holds its usage. */
async function simulateDisk(root: string, tools: string): Promise<void> {
  // The agent runs `df -Pk -- PATH…`. The program reports the same disk for each path, with the
  // usage from the file.
  await program(
    join(root, 'usr/bin/df'),
    `read -r percent < '${join(tools, 'disk-used-percent')}'
total=${diskKilobytes}
used=$(((total * percent + 99) / 100))
echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'
shift 2
for path; do echo "/dev/nvme0n1p1 $total $used $((total - used)) $percent% /"; done`,
  );
}

async function program(file: string, script: string): Promise<void> {
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
}

interface SimulatedImage {
  id: string;
  name: string;
  /** Seconds since 1970, as Docker reports it. */
  createdAt: number;
  /** The disk usage in percent after Docker removes the image. */
  leaves?: number;
}

/** The ECS agent loads this image from a file when it starts; no registry has it. */
const agentImage: SimulatedImage = {
  id: `sha256:${'1'.repeat(64)}`,
  name: 'amazon/amazon-ecs-pause:0.1.0',
  createdAt: 1_500_000_000,
};

interface SimulatedImages {
  list(): readonly SimulatedImage[];
  /** Returns false if there is no such image. */
  remove(id: string): Promise<boolean>;
}

/** Serves the part of Docker's Engine API that a node uses. */
async function serveDocker(socket: string, images: SimulatedImages): Promise<{ close(): Promise<void> }> {
  await rm(socket, { force: true });
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    const path = (request.url ?? '').replace(/^\/v[\d.]+/, '').replace(/\?.*$/, '');
    const [, reference] = /^\/images\/(.+)$/.exec(decodeURIComponent(path)) ?? [];
    if (path === '/_ping') response.end('OK');
    else if (path === '/info') answer(200, { DockerRootDir: '/var/lib/docker', Driver: 'overlay2', DriverStatus: [] });
    else if (path === '/containers/json') answer(200, []);
    else if (path === '/images/json') answer(200, images.list().map(renderImage));
    else if (request.method === 'DELETE' && reference !== undefined) {
      const { id } = images.list().find((each) => [each.id, each.name].includes(reference)) ?? { id: reference };
      images.remove(id).then(
        (found) => answer(found ? 200 : 404, found ? [{ Deleted: id }] : { message: `No such image: ${reference}` }),
        () => answer(500, { message: 'the image could not be removed' }),
      );
    } else answer(404, { message: 'page not found' });
  });
  server.listen(socket);
  await once(server, 'listening');
  return {
    async close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function renderImage({ id, name, createdAt }: SimulatedImage): object {
  return { Id: id, RepoTags: [name], RepoDigests: null, Created: createdAt };
}

function followSystemctl(file: string, onVerb: (line: string) => void): FSWatcher {
  let seen = 0;
  return watch(file, () => {
    void readFile(file, 'utf8').then((text) => {
      const lines = text.split('\n').slice(0, -1);
      const fresh = lines.slice(seen);
      seen = lines.length;
      fresh.forEach(onVerb);
    });
  });
}

async function exitOf(child: ChildProcess): Promise<number> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  return child.exitCode ?? 137;
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => (text += chunk));
  return () => text;
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { time: '', level: 'raw', message: line };
  }
}
