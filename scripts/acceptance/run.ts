/** Plays the acts, and puts the group back whatever happens. */

import { agent, disk, doctor, leaveAndStay } from './acts/on-node.ts';
import { refresh } from './acts/refresh.ts';
import { scaleIn } from './acts/scale-in.ts';
import { scaleOut } from './acts/scale-out.ts';
import { spot } from './acts/spot.ts';
import { openClients, poll, type Clients, type Waiting } from './clients.ts';
import { findGroup, putBack, readGroup, type GroupFacts } from './group.ts';
import { UsageError, type ActName, type Options } from './options.ts';
import { renderPlan } from './plan.ts';
import { openScene, renderVerdict, type Act, type Verdict } from './scene.ts';

const acts: Record<ActName, Act> = {
  'scale-out': scaleOut,
  doctor,
  'leave-stay': leaveAndStay,
  disk,
  agent,
  spot,
  'scale-in': scaleIn,
  refresh,
};

/** The verdicts, in order; none without --apply. */
export async function runAcceptance(
  options: Options,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<Verdict[]> {
  const clients = openClients(options);
  const group = await findGroup(clients, options);
  for (const line of renderPlan(options, group)) print(line);
  if (!options.apply) {
    print('Nothing was changed. Add --apply to do it.');
    return [];
  }
  if (group.isManaged) {
    throw new UsageError(
      `ECS changes the size of ${group.name} (managed scaling of ${group.provider}), so nodes would come and go: switch it off meanwhile`,
    );
  }
  if (group.members.length !== group.desired) {
    const count = `${group.members.length} nodes, and wants ${group.desired}`;
    throw new UsageError(
      `the group ${group.name} has ${count}: wait until it is at rest, so that no other node is taken`,
    );
  }
  const verdicts: Verdict[] = [];
  const add = (verdict: Verdict) => {
    verdicts.push(verdict);
    print(renderVerdict(verdict));
  };
  const own: string[] = [];
  const ended = new Set<string>();
  const waiting = { waitMs: options.waitMs, pollMs: options.pollMs, signal };
  try {
    for (const act of options.acts) {
      await acts[act](openScene({ clients, options, group, waiting, own, ended }, act, add));
      if (act === 'spot') {
        await waitUntilFull(clients, group, ended, waiting);
        await adoptReplacements(clients, group, own, ended);
      }
      if (own.length === 0) break;
    }
  } finally {
    // Whatever was launched since, and was not seen.
    await adoptReplacements(clients, group, own, ended).catch(() => {});
    for (const told of await putBack(clients, group, own)) print(`not put back: ${told}`);
    print(`the group ${group.name} is put back; its last nodes may still drain`);
  }
  return verdicts;
}

/** The members that stay: neither ended by an act nor by the group. */
async function readStaying(clients: Clients, { name }: GroupFacts, ended: ReadonlySet<string>) {
  const { Instances = [], DesiredCapacity = 0 } = await readGroup(clients, name);
  const staying = Instances.filter(
    ({ InstanceId = '', LifecycleState = '' }) => !ended.has(InstanceId) && !LifecycleState.startsWith('Terminat'),
  );
  return { desired: DesiredCapacity, ids: staying.flatMap(({ InstanceId }) => InstanceId ?? []) };
}

/** The group launches a node in place of one that EC2 took. */
async function waitUntilFull(
  clients: Clients,
  group: GroupFacts,
  ended: ReadonlySet<string>,
  waiting: Waiting,
): Promise<void> {
  await poll(waiting, async () => {
    const { ids, desired } = await readStaying(clients, group, ended);
    return ids.length >= desired || undefined;
  });
}

/**
 * With managed scaling off, only this run has raised the desired capacity. When another node of the
 * group is gone, a new one may be its replacement, and is left alone.
 */
async function adoptReplacements(
  clients: Clients,
  group: GroupFacts,
  own: string[],
  ended: ReadonlySet<string>,
): Promise<void> {
  const { ids } = await readStaying(clients, group, ended);
  if (group.members.some((id) => !ids.includes(id))) return;
  own.push(...ids.filter((id) => !group.members.includes(id) && !own.includes(id)));
}
