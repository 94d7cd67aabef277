/** The acceptance against the simulator, whose nodes run the shipped binary. */

import { vi, type TestContext } from 'vitest';
import type { Options } from '../../scripts/acceptance/options.ts';
import { runAcceptance } from '../../scripts/acceptance/run.ts';
import type { Verdict } from '../../scripts/acceptance/scene.ts';
import type { GroupOptions } from '../../simulator/options.ts';
import { operatorCredentials } from '../../simulator/simulator.ts';
import {
  group,
  launchHook,
  openStage,
  terminateHook,
  type Node,
  type Stage,
  type StageOptions,
} from '../scenarios/stage.ts';

export interface Played {
  stage: Stage;
  verdicts: Verdict[];
  printed: string[];
}

export interface How extends StageOptions {
  options?: Partial<Options>;
  /** Before the run. */
  before?: (stage: Stage) => void | Promise<void>;
  /** Aborts at the first verdict of this name. */
  stopsAt?: string;
}

// The same for every simulator, so that several plays run beside each other.
vi.stubEnv('AWS_ACCESS_KEY_ID', operatorCredentials.accessKeyId);
vi.stubEnv('AWS_SECRET_ACCESS_KEY', operatorCredentials.secretAccessKey);

/** A real node would need minutes for each. */
const quick = { waitMs: 60_000, pollMs: 200 };

export const spotGroup: GroupOptions = {
  name: group,
  hooks: [
    { name: launchHook, transition: 'launch' },
    { name: terminateHook, transition: 'terminate' },
  ],
  template: { purchase: 'spot' },
};

/** Many plays mostly wait beside each other. */
export async function play(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  { options = {}, before, stopsAt, ...how }: How = {},
): Promise<Played> {
  const stage: Stage = await openStage({
    groups: [spotGroup],
    settings: { ec2: { spotNoticeMs: 10_000 }, ecs: { stoppingMs: 3_000 }, ssm: { onlineAfterMs: 500 } },
    onCommand: async (id, script) => nodeOf(stage, id).shell(script),
    ...how,
  });
  onTestFinished(() => stage.close());
  const stop = new AbortController();
  const printed: string[] = [];
  if (before === undefined) stage.simulator.verbs.createCapacityProvider('demo', 'nodes', group);
  else await before(stage);
  const print = (line: string) => {
    printed.push(line);
    if (stopsAt !== undefined && line.includes(stopsAt)) stop.abort(new Error('stopped by SIGINT'));
  };
  const asked: Options = {
    cluster: 'demo',
    region: 'us-east-1',
    endpoint: stage.simulator.endpoint,
    group: undefined,
    apply: true,
    acts: ['scale-out', 'doctor', 'leave-stay', 'disk', 'agent', 'spot', 'scale-in', 'refresh'],
    nodes: 2,
    ...quick,
    stopSeconds: 3,
    fisRole: 'arn:aws:iam::123456789012:role/fis',
    ...options,
  };
  const verdicts = await runAcceptance(asked, print, stop.signal).catch((error: unknown) => {
    if (stopsAt === undefined) throw error;
    return [];
  });
  return { stage, verdicts, printed };
}

export function nodeOf({ nodes }: Stage, id: string): Node {
  const node = nodes.find((each) => each.id === id);
  if (node === undefined) throw new Error(`no node ${id}`);
  return node;
}
