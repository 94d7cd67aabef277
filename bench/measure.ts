// The measuring instruments: CPU time of runs, memory and CPU time of a resident process, and a
// page cache in a known state.
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Run {
  /** User and system time of the process and of the children that it waited for. */
  cpuMs: number;
  wallMs: number;
  /** Resident memory of the largest process of the run; measured only on request. */
  peakMiB: number;
}

export interface Sample {
  atMs: number;
  pssMiB: number;
  anonymousMiB: number;
  rssMiB: number;
  /**
   * CPU time since the start, in steps of 10 ms: of the process, and below of its ended children.
   */
  cpuMs: number;
  childrenCpuMs: number;
  /** PSS of the process and of all its running descendants, and below their number. */
  familyPssMiB: number;
  children: number;
}

/**
 * Runs a command once. It uses bash's `time`, which has milliseconds; /proc only has hundredths of
 * a second. Rejects if the command fails.
 */
export async function timeRun(
  command: string[],
  {
    env = process.env,
    peak = false,
    output = '/dev/null',
  }: { env?: NodeJS.ProcessEnv; peak?: boolean; output?: string } = {},
): Promise<Run> {
  const script = `TIMEFORMAT='%3U %3S %3R'; out=$1; shift; time "$@" >"$out" 2>&1`;
  const running = run('bash', ['-c', script, 'bash', output, ...command], { env: { ...env, LC_ALL: 'C' } });
  const watch = peak ? watchPeak(running.child.pid!) : undefined;
  try {
    const { stderr } = await running;
    const [user, system, wall] = stderr.trim().split(/\s+/).slice(-3).map(Number);
    return { cpuMs: (user! + system!) * 1000, wallMs: wall! * 1000, peakMiB: watch?.stop() ?? 0 };
  } finally {
    watch?.stop();
  }
}

/** The commands take turns, so that a busy moment of the machine affects all of them. */
export async function compareRuns(commands: Record<string, string[]>, rounds: number): Promise<Record<string, Run[]>> {
  const runs: Record<string, Run[]> = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, command] of Object.entries(commands)) (runs[name] ??= []).push(await timeRun(command));
  }
  return runs;
}

/**
 * Follows the high-water marks of all processes below `pid`. The kernel keeps each mark, so the
 * sampling misses no growth between two samples.
 */
function watchPeak(pid: number): { stop(): number } {
  let peakKiB = 0;
  const takeSample = () => {
    for (const each of descendants(pid)) peakKiB = Math.max(peakKiB, readHighWaterKiB(each));
  };
  const timer = setInterval(takeSample, 10);
  return {
    stop() {
      clearInterval(timer);
      return peakKiB / 1024;
    },
  };
}

function readHighWaterKiB(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0; // The process has ended
  }
}

/** Returns the descendants of `pid`, without `pid` itself. */
export function descendants(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    );
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    return []; // The process has ended
  }
}

/**
 * Samples a running process at intervals. On an abort of the signal it returns the samples so far.
 */
export async function watchProcess(
  pid: number,
  { everyMs, forMs }: { everyMs: number; forMs: number },
  signal?: AbortSignal,
): Promise<Sample[]> {
  const start = performance.now();
  const samples: Sample[] = [];
  for (;;) {
    const children = descendants(pid);
    const own = await readMemory(pid);
    // A process that ends while it is being read counts as gone.
    const others = await Promise.all(
      children.map((child) =>
        readMemory(child).then(
          ({ pssMiB }) => pssMiB,
          () => 0,
        ),
      ),
    );
    samples.push({
      atMs: performance.now() - start,
      ...own,
      ...(await readCpu(pid)),
      familyPssMiB: others.reduce((sum, each) => sum + each, own.pssMiB),
      children: children.length,
    });
    if (performance.now() - start >= forMs) return samples;
    await sleep(everyMs, undefined, { signal }).catch(() => {});
    if (signal?.aborted) return samples;
  }
}

export async function readMemory(pid: number): Promise<{ pssMiB: number; anonymousMiB: number; rssMiB: number }> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mebibytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) / 1024;
  return { pssMiB: mebibytes('Pss'), anonymousMiB: mebibytes('Anonymous'), rssMiB: mebibytes('Rss') };
}

export async function readCpu(pid: number): Promise<{ cpuMs: number; childrenCpuMs: number }> {
  const [user, system, childrensUser, childrensSystem] = fieldsOfStat(await readFile(`/proc/${pid}/stat`, 'latin1'))
    .slice(11, 15)
    .map(Number);
  return { cpuMs: (user! + system!) * 10, childrenCpuMs: (childrensUser! + childrensSystem!) * 10 };
}

/** Returns the fields from the third on: the second field, the name, can contain spaces. */
function fieldsOfStat(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Reads the CPU time so far of a process without children, exact to the scheduler's clock. */
export function readThreadsMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e6;
}

/**
 * Copies a program and drops the copy from the page cache. A newly written file lies there in large
 * folios, and the kernel then maps far more of it into a process: up to 35 MiB of resident memory
 * that the same file, read back from the disk, does not show. It must be a copy: the kernel drops
 * no page of a running program, and pages shared with another process count as shared.
 */
export async function takeOwn(program: string, folder: string): Promise<string> {
  const own = join(folder, basename(program));
  await copyFile(program, own);
  await run('dd', [`of=${own}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']);
  return own;
}

export function median(values: number[]): number {
  return percentile(values, 50);
}

/** Interpolates between the two neighbours when the rank lies between them. */
export function percentile(values: number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = ((sorted.length - 1) * percent) / 100;
  return (sorted[Math.floor(rank)]! + sorted[Math.ceil(rank)]!) / 2;
}

/** Renders `12 (11–15)`: the median, with the least and the most. */
export function renderSpread(values: number[], digits = 0): string {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map((value) =>
    value.toFixed(digits),
  );
  return least === most ? middle! : `${middle} (${least}–${most})`;
}
