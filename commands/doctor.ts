/** `ecs-node doctor`: looks at everything that this node depends on, changes nothing, and says how to mend what is wrong. */

import { schema } from '../core/schema.ts';
import { ConfigError, messageOf, renderFault } from '../core/errors.ts';
import { within } from '../core/patience.ts';
import { openExamination, type Examination } from '../host/aws/examine/examination.ts';
import { openEcsAgent } from '../host/ecs-introspection.ts';
import type { Caller, Run } from './command.ts';
import type { Diagnosis, Patient } from './doctor/check.ts';
import { checkMs, checks, troubleOf } from './doctor/checks.ts';
import { readFileLayers, settle } from './load-config.ts';
import { openGround, type Ground } from './open-host.ts';
import { readOutside } from './sources/outside.ts';

/** A person waits; what has not answered by then is what is wrong. */
const metadataMs = 5_000;

export const doctor: Run = async (caller, _words, signal) => {
  const patient = await readPatient(caller, openGround(caller), signal);
  let isWell = true;
  for (const { name, look } of checks) {
    const diagnoses = await within(checkMs, (inner) => look(patient, inner), patient.clock, signal).catch(
      (error: unknown) => {
        signal.throwIfAborted();
        return troubleOf(error);
      },
    );
    for (const diagnosis of [diagnoses].flat()) {
      caller.print(renderDiagnosis(name, diagnosis));
      if (diagnosis.state === 'wrong') isWell = false;
    }
  }
  return isWell ? 0 : 1;
};

const words = { ok: 'ok     ', wrong: 'WRONG  ', unsure: 'unsure ' };

export function renderDiagnosis(name: string, { state, what, mend }: Diagnosis): string {
  const remedy = mend === undefined ? '' : state === 'wrong' ? `; to mend: ${mend}` : `; ${mend}`;
  return `${words[state]} ${name}: ${what}${remedy}\n`;
}

async function readPatient(caller: Caller, ground: Ground, signal: AbortSignal): Promise<Patient> {
  const { identity, trouble: identityTrouble } = await readIdentity(ground, signal);
  const { config, troubles: configTroubles } = await readConfig(caller, ground, identity !== undefined, signal);
  const endpoint = config?.ecs.introspectionEndpoint ?? schema.parse({ cluster: 'any' }).ecs.introspectionEndpoint;
  const examination: Examination | undefined =
    identity && config && openExamination(identity, caller.environment, subjectOf(config), caller.log);
  return {
    ...ground,
    ecsAgent: openEcsAgent(endpoint),
    identity,
    identityTrouble,
    config,
    configTroubles,
    examination,
  };
}

function subjectOf({ cluster, metrics, leave, opsworks, refresh, daemonTasks }: NonNullable<Patient['config']>) {
  return {
    cluster,
    namespace: metrics.namespace,
    targetGroups: leave.targetGroups,
    loadBalancers: leave.loadBalancers,
    opsworksRegion: opsworks.region,
    stack: opsworks.stack,
    definitions: daemonTasks.definitions ?? [],
    source: refresh.source,
  };
}

async function readIdentity(
  { metadata, clock }: Ground,
  signal: AbortSignal,
): Promise<{ identity: Patient['identity']; trouble: string | undefined }> {
  try {
    const identity = await within(metadataMs, (inner) => metadata.readIdentity(inner), clock, signal);
    return { identity, trouble: undefined };
  } catch (error) {
    signal.throwIfAborted();
    return { identity: undefined, trouble: messageOf(error) };
  }
}

async function readConfig(
  caller: Caller,
  { machine, metadata, clock }: Ground,
  isOnline: boolean,
  signal: AbortSignal,
): Promise<{ config: Patient['config']; troubles: readonly string[] }> {
  try {
    const files = await readFileLayers(machine, caller);
    const outside = isOnline
      ? await within(metadataMs, (inner) => readOutside(metadata, inner), clock, signal)
      : undefined;
    return { config: settle(files, [], outside).config, troubles: [] };
  } catch (error) {
    signal.throwIfAborted();
    const troubles = error instanceof ConfigError ? error.faults.map(renderFault) : [messageOf(error)];
    return { config: undefined, troubles };
  }
}
