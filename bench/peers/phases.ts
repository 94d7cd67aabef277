/**
 * The three measurements: the cost of a resident program, the cost of its start, and its reaction
 * time to a spot notice.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { readThreadsMs, watchProcess, type Sample } from '../measure.ts';
import { giveCapacityProvider } from '../node.ts';
import type { PeerProcess, Side, Stage } from './sides.ts';

export interface Candidate {
  side: Side;
  /** The absolute path of a copy that no other side runs. */
  program: string;
}

/**
 * After this time the node has joined and the heap is steady; a real node spends all but its first
 * minute in this state.
 */
const warmUpMs = 60_000;

/** EC2 gives this much time. */
const noticeMs = 120_000;

export interface Watched {
  samples: Sample[];
  /** Metadata requests during the measurement. */
  asked: number;
}

/**
 * Measures all sides in the same minutes, so that a busy moment of the machine affects all of them.
 */
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

/** The program received no notice, so it can only have ended. */
async function failWith({ acted }: PeerProcess): Promise<never> {
  await acted;
  throw new Error('a program reacted to a spot notice before one was sent');
}

interface Notices {
  rounds: number;
  say(text: string): void;
}

/**
 * Gives each side one instance in every round. Each notice comes at a moment that is independent of
 * the polling.
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

/** The timer does not keep the process alive after the other work has ended. */
async function tooLate({ side }: Candidate): Promise<never> {
  await sleep(noticeMs, undefined, { ref: false });
  throw new Error(`${side.name} did nothing before the interruption`);
}

interface LaunchedNode {
  id: string;
  life: PeerProcess;
}

async function launch(stage: Stage, group: string, candidates: Candidate[]): Promise<LaunchedNode[]> {
  giveCapacityProvider(stage.account, group);
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
 * Measures up to the first metadata request, which is never answered, so that the program does no
 * work after its start.
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
    throw new Error(`${[program, ...args].join(' ')} ended with ${String(start[0])} before its first metadata request`);
  } finally {
    child.kill('SIGKILL');
    await ended;
    server.closeAllConnections();
    server.close();
  }
}
