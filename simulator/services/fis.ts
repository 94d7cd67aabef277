/** Fault Injection Service: experiments that interrupt spot instances. REST with JSON bodies. */

import { Refusal } from '../refusal.ts';
import { list, map, need, record, text } from '../wire/shapes.ts';
import { noticeSpot } from '../world/notices.ts';
import type { Experiment, World } from '../world/state.ts';
import { denied, throttled, validationComplaints } from './dialects.ts';
import { operation, type Service } from './service.ts';

const action = 'aws:ec2:send-spot-instance-interruptions';

interface Target {
  resourceType?: unknown;
  resourceArns?: unknown;
}

interface Action {
  actionId?: unknown;
  targets?: Record<string, string>;
}

const operations = {
  CreateExperimentTemplate: operation(
    {
      clientToken: need(text({ min: 1, max: 1024 })),
      description: need(text({ max: 512 })),
      stopConditions: need(list(record({ source: need(text()), value: text() }))),
      targets: map(),
      actions: need(map()),
      roleArn: need(text({ min: 20, max: 2048 })),
    },
    ({ targets = {}, actions, description }, { world }) => {
      const [only] = Object.values(actions) as unknown as Action[];
      const target = (targets as unknown as Record<string, Target>)[only?.targets?.['SpotInstances'] ?? ''];
      if (only?.actionId !== action || target?.resourceType !== 'aws:ec2:spot-instance')
        throw new Refusal('ValidationException', `only ${action} is simulated`);
      const arns = Array.isArray(target.resourceArns) ? (target.resourceArns as string[]) : [];
      const id = `EXT${world.random.hex(14)}`;
      world.experimentTemplates.set(
        id,
        arns.map((arn) => arn.split('/').at(-1)!),
      );
      return { experimentTemplate: { id, description, targets, actions } };
    },
  ),
  DeleteExperimentTemplate: operation({ id: need(text()) }, ({ id }, { world }) => {
    if (!world.experimentTemplates.delete(id)) throw new Refusal('ResourceNotFoundException', `no template ${id}`, 404);
    return { experimentTemplate: { id } };
  }),
  StartExperiment: operation(
    { clientToken: need(text({ min: 1 })), experimentTemplateId: need(text()) },
    ({ experimentTemplateId: template }, { world }) => {
      const instances = world.experimentTemplates.get(template);
      if (!instances) throw new Refusal('ResourceNotFoundException', `no template ${template}`, 404);
      return { experiment: render(start(world, template, instances)) };
    },
  ),
  GetExperiment: operation({ id: need(text()) }, ({ id }, { world }) => {
    const experiment = world.experiments.get(id);
    if (!experiment) throw new Refusal('ResourceNotFoundException', `no experiment ${id}`, 404);
    return { experiment: render(experiment) };
  }),
};

function start(world: World, template: string, ids: readonly string[]): Experiment {
  const experiment: Experiment = {
    id: `EXP${world.random.hex(14)}`,
    template,
    instances: ids,
    status: 'running',
    reason: 'Experiment is running.',
  };
  world.experiments.set(experiment.id, experiment);
  const spot = ids.flatMap((id) => world.instances.get(id) ?? []).filter(({ purchase }) => purchase === 'spot');
  if (spot.length < ids.length || spot.length === 0) {
    return Object.assign(experiment, { status: 'failed', reason: 'Target resolution returned empty set.' });
  }
  const { spotNoticeMs } = world.settings.ec2;
  for (const instance of spot) noticeSpot(world, instance, 'terminate', spotNoticeMs);
  return Object.assign(experiment, { status: 'completed', reason: 'Experiment completed.' });
}

function render({ id, template, status, reason }: Experiment): object {
  return { id, experimentTemplateId: template, state: { status, reason } };
}

export const fis: Service = {
  id: 'fis',
  signingName: 'fis',
  iam: 'fis',
  protocol: 'json',
  version: 'REST',
  complain: validationComplaints('ValidationException'),
  throttle: throttled('ThrottlingException', 429),
  deny: denied('AccessDeniedException', 403),
  operations,
};

/** The operation that a path stands for, and its input. */
export function parseFis(
  method: string,
  path: string,
  body: unknown,
): { operation: string; input: unknown } | undefined {
  const [, folder, id] = /^\/([a-zA-Z]+)(?:\/([^/]+))?$/.exec(path) ?? [];
  const name = `${method} ${folder ?? ''}${id === undefined ? '' : '/ID'}`;
  const found = paths[name];
  return found === undefined
    ? undefined
    : { operation: found, input: id === undefined ? body : { id: decodeURIComponent(id) } };
}

const paths: Record<string, string | undefined> = {
  'POST experimentTemplates': 'CreateExperimentTemplate',
  'DELETE experimentTemplates/ID': 'DeleteExperimentTemplate',
  'POST experiments': 'StartExperiment',
  'GET experiments/ID': 'GetExperiment',
};
