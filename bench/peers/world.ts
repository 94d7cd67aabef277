// The machine on which ecs-node runs beside its peers. It has its own network and mounts: the
// benchmark serves 169.254.169.254, and can put a Kubernetes service account at its usual path. It
// reads JSON and writes JSON lines.
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { openKubernetesFront } from '../fronts/kubernetes-front.ts';
import { openMetadataFront } from '../fronts/metadata-front.ts';
import { timeRun } from '../measure.ts';
import { openAccount } from '../node.ts';
import { noticeAll, startAll, watchAll, type Candidate, type Start, type Watched } from './phases.ts';
import { sides, type Stage } from './sides.ts';

export interface PeerOptions {
  /**
   * The absolute path of each side's program, by the side's name; sides without a path are left
   * out.
   */
  programs: Record<string, string>;
  minutes: number;
  notices: number;
  starts: number;
}

/** One entry for each requested side, in the requested order. */
export interface Figures {
  watched: Watched[];
  starts: Start[][];
  /** Milliseconds. */
  notices: number[][];
}

export type Message = { say: string } | { figures: Figures };

const run = promisify(execFile);

if (import.meta.main) await main(JSON.parse(await text(process.stdin)) as PeerOptions);

async function main({ programs, minutes, notices, starts: rounds }: PeerOptions): Promise<void> {
  const candidates = sides.flatMap((side): Candidate[] => {
    const program = programs[side.name];
    return program === undefined ? [] : [{ side, program }];
  });
  await run('ip', ['link', 'set', 'lo', 'up']);
  await run('ip', ['address', 'add', '169.254.169.254/32', 'dev', 'lo']);
  const folder = await mkdtemp(join(tmpdir(), 'ecs-node-'));
  const groups = ['watched', ...Array.from({ length: notices }, (_, round) => `round-${round}`)].map((name) => ({
    name,
    template: { purchase: 'spot' as const },
  }));
  const account = await openAccount('', { groups });
  try {
    const kubernetes = await openKubernetesFront(account.certificate);
    await layServiceAccount(account.certificate.file);
    const { watched, latencies } = await withMetadata(async (metadata) => {
      const stage: Stage = { account, metadata, kubernetes, folder };
      send({ say: `All are watched for ${minutes} minutes, after one in which they settle.` });
      return {
        watched: await watchAll(stage, candidates, minutes),
        latencies: await noticeAll(stage, candidates, { rounds: notices, say: (words) => send({ say: words }) }),
      };
    });
    if (kubernetes.unknown.length > 0)
      throw new Error(`the stand-in does not serve these Kubernetes requests: ${kubernetes.unknown.join(', ')}`);
    const ours = candidates.find(({ side }) => side.program === 'ecs-node')!.program;
    await timeRun([ours, '--root', folder, 'configure', '--cluster', 'demo']);
    const starts = await startAll(candidates, (side) => side.startArgs(kubernetes.port, folder), rounds);
    send({ figures: { watched, starts, notices: latencies } });
    kubernetes.close();
  } finally {
    await account.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function withMetadata<T>(
  use: (metadata: Awaited<ReturnType<typeof openMetadataFront>>) => Promise<T>,
): Promise<T> {
  const metadata = await openMetadataFront('169.254.169.254:80');
  try {
    return await use(metadata);
  } finally {
    metadata.close();
  }
}

/**
 * Writes the certificate and the identity that a program in a pod reads. The mount namespace hides
 * it from every other process.
 */
async function layServiceAccount(certificate: string): Promise<void> {
  await run('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  const path = '/run/secrets/kubernetes.io/serviceaccount';
  await mkdir(path, { recursive: true });
  await copyFile(certificate, join(path, 'ca.crt'));
  await writeFile(join(path, 'token'), 'bench');
}

function send(message: Message): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
