/** Fault Injection Service interrupts a launched spot node. */

import { poll } from '../clients.ts';
import { openFaultInjection } from '../fault-injection.ts';
import { readInstance } from '../node.ts';
import type { Act } from '../scene.ts';
import { until } from './scale-out.ts';

export const spot: Act = async (scene) => {
  const [id] = scene.own;
  const { clients, options, waiting } = scene;
  if (id === undefined) return scene.skip('spot interruption', 'no node');
  if (options.fisRole === undefined) return scene.skip('spot interruption', 'needs --fis-role');
  const { isSpot } = await readInstance(clients, id);
  if (!isSpot) return scene.skip('spot interruption', 'the launched node is no spot instance');
  const region = await clients.ec2.config.region();
  const fis = openFaultInjection(region, options.endpoint, process.env);
  const role = options.fisRole;
  const [, partition = 'aws', account = ''] = /^arn:([\w-]+):iam::(\d+):/.exec(role) ?? [];
  let begun: { experiment: string; template: string } | undefined;
  try {
    const isBegun = await scene.judge('an interruption is announced', async () => {
      begun = await fis.interrupt(`arn:${partition}:ec2:${region}:${account}:instance/${id}`, role);
      const { experiment } = begun;
      const over = await poll(waiting, async () => {
        const state = await fis.readState(experiment);
        return /^(completed|failed|stopped|cancelled)$/.test(state.status) ? state : undefined;
      });
      return over?.status === 'completed' ? undefined : `the experiment is ${over?.status}: ${over?.reason}`;
    });
    if (!isBegun) return;
    await scene.judge('is DRAINING before EC2 takes it', () =>
      until(scene, id, 'not DRAINING', ({ containerInstance }) => containerInstance?.status === 'DRAINING'),
    );
    await scene.judge('EC2 takes it', async () => {
      const gone = await poll(waiting, async () => {
        const { state } = await readInstance(clients, id);
        return (state !== 'running' && state !== 'pending') || undefined;
      });
      return gone === undefined ? 'it still runs' : undefined;
    });
    // The group launches another node in its place; `run.ts` finds and ends it.
    scene.own.shift();
    scene.ended.add(id);
  } finally {
    if (begun !== undefined) await fis.deleteTemplate(begun.template).catch(() => {});
  }
};
