/** Acts that run commands on a node: doctor, leave and stay, a full disk, a killed agent. */

import { poll } from '../clients.ts';
import { runOn } from '../node.ts';
import type { Act, Scene } from '../scene.ts';
import { until } from './scale-out.ts';

async function run(scene: Scene, id: string, script: string): Promise<string | undefined> {
  const output = await runOn(scene.clients, id, script, scene.waiting);
  if (output === undefined) return 'Run Command gave no answer';
  return output.code === 0 ? undefined : `exit ${output.code}: ${output.text.slice(-300).replaceAll('\n', ' | ')}`;
}

export const doctor: Act = async (scene) => {
  for (const id of scene.own) {
    await scene.judge(`${id} finds nothing wrong`, async () => {
      const output = await runOn(scene.clients, id, 'ecs-node doctor', scene.waiting);
      if (output?.code === 0) return undefined;
      const wrong = output?.text.split('\n').filter((line) => line.startsWith('WRONG')) ?? ['no answer'];
      return wrong.length > 0 ? wrong.join(' | ') : `exit ${output?.code}`;
    });
  }
};

const isDraining = (scene: Scene, id: string) => () =>
  until(scene, id, 'not DRAINING', ({ containerInstance }) => containerInstance?.status === 'DRAINING');

const isActive = (scene: Scene, id: string) => () =>
  until(scene, id, 'not ACTIVE', ({ containerInstance }) => containerInstance?.status === 'ACTIVE');

export const leaveAndStay: Act = async (scene) => {
  const [id] = scene.own;
  if (id === undefined) return scene.skip('leave and stay', 'no node');
  const leave = () => run(scene, id, 'ecs-node leave --no-terminate --reason acceptance');
  if (!(await scene.judge('takes the order to leave', leave))) return;
  await scene.judge('is DRAINING', isDraining(scene, id));
  await scene.judge('takes the order to stay', () => run(scene, id, 'ecs-node stay'));
  await scene.judge('is ACTIVE again', isActive(scene, id));
};

const filler = '/var/lib/ecs-node-acceptance';

/** Leaves four percent, or less than that if the disk was fuller. */
const fill = `set -e
read -r _ total _ available _ <<END
$(df -Pk -- /var/lib | tail -n 1)
END
fallocate -l $(( (available - total * 4 / 100) * 1024 )) ${filler}`;

export const disk: Act = async (scene) => {
  const [id] = scene.own;
  if (id === undefined) return scene.skip('full disk', 'no node');
  try {
    if (!(await scene.judge('the disk fills', () => run(scene, id, fill)))) return;
    await scene.judge('is DRAINING while it is full', isDraining(scene, id));
  } finally {
    await scene.judge('the disk is freed', () => run(scene, id, `rm -f ${filler}`));
  }
  await scene.judge('is ACTIVE again', isActive(scene, id));
};

export const agent: Act = async (scene) => {
  const [id] = scene.own;
  if (id === undefined) return scene.skip('killed agent', 'no node');
  const { clients, waiting } = scene;
  let killedAt = Infinity;
  const kill = 'date +%s%3N; systemctl kill --kill-whom=main --signal=KILL ecs-node.service';
  const killed = await scene.judge('the agent is killed', async () => {
    const output = await runOn(clients, id, kill, waiting);
    killedAt = Number(output?.text.split('\n')[0]);
    return output?.code === 0 && killedAt > 0 ? undefined : (output?.text ?? 'Run Command gave no answer');
  });
  if (!killed) return;
  await scene.judge('systemd starts it again, and it is joined', async () => {
    let last = 'no status';
    const found = await poll(waiting, async () => {
      const output = await runOn(clients, id, 'ecs-node status --json', waiting);
      last = output?.text.slice(0, 200) ?? last;
      return (output !== undefined && isJoinedSince(output.text, killedAt)) || undefined;
    });
    return found === undefined ? last : undefined;
  });
};

function isJoinedSince(text: string, at: number): boolean {
  try {
    const { agent: found } = JSON.parse(text) as { agent?: { at?: number; join?: { state?: string } } };
    return (found?.at ?? 0) > at && found?.join?.state === 'joined';
  } catch {
    return false;
  }
}
