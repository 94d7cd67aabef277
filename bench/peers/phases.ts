/**
 * The three measurements: what a resident program costs, what its start costs, and how soon it
 * answers a spot notice.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { readThreadsMs, watchProcess, type Sample } from '../measure.ts';
import type { PeerProcess, Side, Stage } from './sides.ts';

export interface Candidate {
  side: Side;
  /** Absolute path of a copy that nobody else runs. */
  program: string;
}

/**
 * Joining is over and the heap has settled; a real node is in this state for all but its first
 * minute.
 */
const warmUpMs = 60_000;

/** The time that EC2 gives. */
const noticeMs = 120_000;

export interface Watched {
  samples: Sample[];
  /** Metadata requests while it was watched. */
  asked: number;
}

/** All are watched in the same minutes, so that a busy moment of the machine meets all of them. */
export async function watchAll(stage: Stage, candidates: Candidate[], minutes: number): Promise<Watched[]> {
  const lives = await launch(stage, 'watched', candidates);
  try {
    const watched = lives.map(async ({ id, life }): Promise<Watched> => {
      const forMs = minutes * 60_000;
      await Promise.race([sleep(warmUpMs), life.acted]);
      const before = countMetadata(stage, id);
      const samples = await Promise.race([watchProcess(life.pid, { everyMs: 1_000, forMs }), failWith(life)]);
      return { samples, asked: countMetadata(stage, id) - before };
    });
    return await Promise.all(watched);
  } finally {
    for (const { life } of lives) life.kill();
  }
}

function countMetadata({ account }: Stage, instanceId: string): number {
  return account.simulator.calls.find({ service: 'imds', instanceId }).length;
}

/** Nobody has given it a notice: it can only have ended. */
async function failWith({ acted }: PeerProcess): Promise<never> {
  await acted;
  throw new Error('a program acted upon a spot notice that there was not');
}

interface Notices {
  rounds: number;
  say(text: string): void;
}

/**
 * One instance for each side in every round. Each notice comes at a moment that has nothing to do
 * with the polling.
 */
export async function noticeAll(stage: Stage, candidates: Candidate[], { rounds, say }: Notices): Promise<number[][]> {
  const latencies: number[][] = candidates.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    const lives = await launch(stage, `round-${round}`, candidates);
    try {
      for (const [index, { id, life }] of lives.entries()) {
        await sleep(Math.random() * candidates[index]!.side.pollSeconds * 1_000);
        const since = performance.now();
        stage.account.simulator.verbs.noticeSpot(id, 'terminate', noticeMs);
        await Promise.race([life.acted, tooLate(candidates[index]!)]);
        latencies[index]!.push(performance.now() - since);
      }
    } finally {
      for (const { life } of lives) life.kill();
      retire(stage, `round-${round}`);
    }
    say(`round ${round + 1} of ${rounds}: ${latencies.map((each) => `${each.at(-1)!.toFixed(0)} ms`).join(', ')}`);
  }
  return latencies;
}

/** It keeps nobody: the timer is not waited for when all else has ended. */
async function tooLate({ side }: Candidate): Promise<never> {
  await sleep(noticeMs, undefined, { ref: false });
  throw new Error(`${side.name} did nothing before the interruption`);
}

interface LaunchedNode {
  id: string;
  life: PeerProcess;
}

async function launch(stage: Stage, group: string, candidates: Candidate[]): Promise<LaunchedNode[]> {
  const instances = await stage.account.simulator.verbs.scaleTo(group, candidates.length);
  const placed: LaunchedNode[] = [];
  for (const [index, { side, program }] of candidates.entries()) {
    const { id } = instances[index]!;
    placed.push({ id, life: await side.start(stage, program, id) });
  }
  return placed;
}

function retire({ account }: Stage, group: string): void {
  const { verbs, world } = account.simulator;
  const members = [...world.groups.get(group)!.members.keys()];
  verbs.setDesiredCapacity(group, 0);
  for (const id of members) verbs.terminate(id);
}

export interface Start {
  cpuMs: number;
  wallMs: number;
}

/**
 * To the arrival of the first metadata request, which is never answered: the program has done
 * nothing but start.
 */
export async function startAll(
  candidates: Candidate[],
  argsOf: (side: Side) => string[],
  rounds: number,
): Promise<Start[][]> {
  const starts: Start[][] = candidates.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { side, program }] of candidates.entries()) {
      starts[index]!.push(await untilFirstRequest(program, argsOf(side)));
    }
  }
  return starts;
}

async function untilFirstRequest(program: string, args: string[]): Promise<Start> {
  const server = createServer();
  server.listen(80, '169.254.169.254');
  await once(server, 'listening');
  const started = performance.now();
  const child = spawn(program, args, { env: { PATH: '/usr/bin:/bin' }, stdio: 'ignore' });
  const asked = once(server, 'request').then(() => ({
    cpuMs: readThreadsMs(child.pid!),
    wallMs: performance.now() - started,
  }));
  const ended = once(child, 'exit');
  try {
    const start = await Promise.race([asked, ended]);
    if ('cpuMs' in start) return start;
    throw new Error(`${[program, ...args].join(' ')} ended with ${String(start[0])} and asked nothing`);
  } finally {
    child.kill('SIGKILL');
    await ended;
    server.closeAllConnections();
    server.close();
  }
}
