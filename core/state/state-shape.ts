/**
 * Checks that a state file matches its type. A torn, forged or older file counts as absent. The
 * shape of a type that lives in another folder stands beside that type (agent/status.ts).
 */

import { flag, listOf, marked, maybe, number, oneOf, recordOf, shaped, text, time, type Is } from '../shape.ts';
import type { Identity } from '../identity.ts';
import { isOpsWorksTarget } from '../opsworks/opsworks-target.ts';
import {
  bootstrapOutcomes,
  causeNames,
  endings,
  phases,
  registrarNames,
  requestActions,
  type BootstrapState,
  type DepartureState,
  type DepartureUptimes,
  type Irrevocable,
  type InstanceTags,
  type Registered,
  type OperatorRequest,
  type StepRecord,
  type UserDataCopy,
  type UserDataPart,
} from './state.ts';

const registered = shaped<Registered>({
  registrar: oneOf(registrarNames),
  id: maybe(text),
  stackId: maybe(text),
  layerId: maybe(text),
  unseen: maybe(marked),
});

const identity = shaped<Identity>({
  instanceId: text,
  accountId: text,
  region: text,
  partition: text,
  zone: text,
  instanceType: text,
  imageId: text,
  architecture: oneOf(['x86_64', 'arm64']),
  privateIp: text,
  hostname: text,
  role: maybe(text),
  purchase: maybe(text),
});

/**
 * Any text: before a roll back, a newer version may have written another state. Only people read
 * it. It must not cost the node its memory of the registration.
 */
const stepState = text as unknown as Is<StepRecord['state']>;

const step = shaped<StepRecord>({
  name: text,
  state: stepState,
  startedAt: time,
  ms: maybe(number),
  error: maybe(text),
});

export const isBootstrapState = shaped<BootstrapState>({
  instanceId: text,
  identity: maybe(identity),
  cluster: maybe(text),
  bootId: maybe(text),
  firstBootId: maybe(text),
  startedAt: time,
  attempts: number,
  outcome: oneOf(bootstrapOutcomes),
  steps: listOf(step),
  hostname: maybe(text),
  registered: maybe(registered),
  former: maybe(listOf(registered)),
  place: maybe(isOpsWorksTarget),
  reason: maybe(text),
  heldUntil: maybe(time),
  retryAt: maybe(time),
});

export const isUserDataCopy = shaped<UserDataCopy>({
  instanceId: text,
  parts: listOf(shaped<UserDataPart>({ path: text, text })),
});

export const isInstanceTags = shaped<InstanceTags>({ instanceId: text, tags: recordOf(text) });

const entered = shaped<DepartureState['entered']>({
  announce: maybe(time),
  balancers: maybe(time),
  drain: maybe(time),
  tasks: maybe(time),
  registrar: maybe(time),
  terminate: maybe(time),
  hook: maybe(time),
  done: maybe(time),
});

export const isDepartureState = shaped<DepartureState>({
  instanceId: text,
  cause: oneOf(causeNames),
  reason: text,
  startedAt: time,
  deadline: time,
  ending: oneOf(endings),
  phase: oneOf(phases),
  entered,
  blockers: listOf(text),
  troubles: listOf(text),
  undoBegunAt: maybe(time),
  undoneAt: maybe(time),
  eventGone: marked,
  key: maybe(text),
  overruled: maybe(listOf(text)),
  bootId: maybe(text),
  hardDeadline: marked,
  undoAt: maybe(time),
  returns: marked,
  backAt: maybe(time),
  drainedAt: maybe(time),
  confirmedAt: maybe(time),
  confirmedBy: maybe(text),
  spotDeniedAt: maybe(time),
  irrevocable: maybe(
    shaped<Irrevocable>({
      ranHooksAt: maybe(time),
      leftBalancersAt: maybe(time),
      stoppedTasksAt: maybe(time),
      deregisteredAt: maybe(time),
      askedToEndAt: maybe(time),
    }),
  ),
  uptimes: maybe(
    shaped<DepartureUptimes>({
      started: number,
      cause: number,
      deadline: number,
      tasks: maybe(number),
      resumed: maybe(number),
    }),
  ),
  farewellAt: maybe(time),
  leftEventAt: maybe(time),
});

export const isRequest = shaped<OperatorRequest>({
  instanceId: text,
  id: text,
  action: oneOf(requestActions),
  reason: text,
  terminate: flag,
  at: time,
});
