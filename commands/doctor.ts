/**
 * `ecs-node doctor`: checks everything that this node depends on, and names a remedy for each
 * fault. It changes nothing.
 */

import { schema } from '../config/schema.ts';
import { ConfigError, messageOf, renderFault } from '../core/errors.ts';
import { withTimeout } from '../core/retry.ts';
import { visibleLine } from '../core/visible.ts';
import { openExamination, type Examination } from '../host/aws/examine/examination.ts';
import { readNetworkSettings } from '../host/environment.ts';
import { openEcsAgent } from '../host/ecs-introspection.ts';
import type { CommandContext, Run } from '../cli/command.ts';
import type { Check, Diagnosis, ExaminedNode } from './doctor/check.ts';
import { checkMs, checks, troubleOf } from './doctor/checks.ts';
import { servicesFor } from './doctor/reach.ts';
import { logWarnings, readFileLayers, resolveConfig } from '../config/load-config.ts';
import { openLocalHost, type LocalHost } from './node/open-host.ts';
import { readOutside } from '../config/sources/tags-and-user-data.ts';

/** A person waits. A service that has not answered by then is the fault to report. */
const metadataMs = 5_000;

export const doctor: Run = async (context, _args, signal) => {
  const node = await readNode(context, openLocalHost(context), signal);
  let isWell = true;
  // All checks start at once. Each is printed as soon as it and those before it are complete.
  for (const { name, diagnoses } of checks.map((check) => runCheck(check, node, signal))) {
    for (const diagnosis of await diagnoses) {
      context.print(renderDiagnosis(name, diagnosis));
      if (diagnosis.state === 'wrong') isWell = false;
    }
  }
  return isWell ? 0 : 1;
};

function runCheck({ name, run }: Check, node: ExaminedNode, signal: AbortSignal) {
  const diagnoses = withTimeout(checkMs, async (callSignal) => run(node, callSignal), node.clock, signal).then(
    (found) => [found].flat(),
    (error: unknown) => {
      signal.throwIfAborted();
      return [troubleOf(error)];
    },
  );
  // An abort is reported by the first check that the command waits for.
  diagnoses.catch(() => {});
  return { name, diagnoses };
}

const labels = { ok: 'ok     ', wrong: 'WRONG  ', unsure: 'unsure ' };

export function renderDiagnosis(name: string, { state, what, remedy }: Diagnosis): string {
  // A question is no instruction.
  const isInstruction = state === 'wrong' && remedy?.includes('?') === false;
  const advice = remedy === undefined ? '' : isInstruction ? `; to mend: ${remedy}` : `; ${remedy}`;
  return `${labels[state]} ${visibleLine(`${name}: ${what}${advice}`)}\n`;
}

async function readNode(context: CommandContext, localHost: LocalHost, signal: AbortSignal): Promise<ExaminedNode> {
  const { identity, trouble: identityTrouble } = await readIdentity(localHost, signal);
  const { config, troubles: configTroubles } = await readConfig(context, localHost, identity !== undefined, signal);
  const endpoint = config?.ecs.introspectionEndpoint ?? schema.parse({ cluster: 'any' }).ecs.introspectionEndpoint;
  const examination: Examination | undefined =
    identity && config && openExamination(identity, context.environment, subjectOf(config), context.log);
  return {
    ...localHost,
    ecsAgent: openEcsAgent(endpoint),
    identity,
    identityTrouble,
    config,
    configTroubles,
    examination,
    network: readNetworkSettings(context.environment, context.root),
  };
}

function subjectOf(config: NonNullable<ExaminedNode['config']>) {
  const { cluster, metrics, events, leave, opsworks, refresh, daemonTasks } = config;
  return {
    cluster,
    services: servicesFor(config),
    namespace: metrics.namespace,
    bus: events.bus,
    targetGroups: leave.targetGroups,
    loadBalancers: leave.loadBalancers,
    opsworksRegion: opsworks.region,
    stack: opsworks.stack,
    definitions: daemonTasks.definitions ?? [],
    source: refresh.source,
  };
}

async function readIdentity(
  { metadata, clock }: LocalHost,
  signal: AbortSignal,
): Promise<{ identity: ExaminedNode['identity']; trouble: string | undefined }> {
  try {
    const identity = await withTimeout(metadataMs, (callSignal) => metadata.readIdentity(callSignal), clock, signal);
    return { identity, trouble: undefined };
  } catch (error) {
    signal.throwIfAborted();
    return { identity: undefined, trouble: messageOf(error) };
  }
}

async function readConfig(
  context: CommandContext,
  { machine, metadata, clock }: LocalHost,
  isOnline: boolean,
  signal: AbortSignal,
): Promise<{ config: ExaminedNode['config']; troubles: readonly string[] }> {
  try {
    const files = await readFileLayers(machine, context);
    const outside = isOnline
      ? await withTimeout(metadataMs, (callSignal) => readOutside(metadata, callSignal), clock, signal)
      : undefined;
    const loaded = resolveConfig(files, [], outside);
    logWarnings(loaded, context.log);
    return { config: loaded.config, troubles: [] };
  } catch (error) {
    signal.throwIfAborted();
    const troubles = error instanceof ConfigError ? error.faults.map(renderFault) : [messageOf(error)];
    return { config: undefined, troubles };
  }
}
