/**
 * Runs the steps of a bootstrap in order and stops at the first failure. Writes the progress to
 * disk.
 */

import type { Config } from '../config/config.ts';
import { StepError, Unavailable, messageOf } from '../core/errors.ts';
import type { Host } from '../core/host.ts';
import type { Identity } from '../core/identity.ts';
import { withTimeout } from '../core/retry.ts';
import { readState } from '../core/state/read-state.ts';
import { paths, renderState, type BootstrapState, type StepRecord } from '../core/state/state.ts';
import { isBootstrapState } from '../core/state/state-shape.ts';
import { plan } from './plan.ts';
import type { Step, BootstrapContext } from './step.ts';

/**
 * Brings the node to the point where the ECS agent may start. Resumes a bootstrap that a crash or a
 * reboot interrupted; running it again changes nothing. Throws a StepError with the step's own
 * failure as its cause, or the signal's reason when stopped. `isAgain`: this process has made an
 * attempt before, which ended, also where a full disk still says that it runs.
 */
export async function bootstrap(
  host: Host,
  config: Config,
  signal: AbortSignal,
  isAgain = false,
): Promise<BootstrapState> {
  const before = await readBootstrapState(host);
  const state = await beginAttempt(host, config, before, isAgain);
  await host.machine.remove(paths.unpacked);
  const timeoutMs = config.bootstrap.timeoutSeconds * 1000;
  // A wall clock that jumped back must not give the bootstrap more than `timeoutSeconds`.
  const elapsedMs = Math.max(0, host.clock.now() - state.startedAt);
  const endsAt = host.clock.uptime() + Math.max(0, timeoutMs - elapsedMs);
  const context = openBootstrapContext(host, state, before, endsAt);

  host.log.info('bootstrap started', { attempt: state.attempts, leftMs: Math.round(context.leftMs()) });
  for (const step of plan(config)) await runStep(step, host, config, state, context, signal);

  state.outcome = 'done';
  await context.save();
  host.log.info('bootstrap done', { ms: host.clock.now() - state.startedAt });
  return state;
}

/** The state that the last bootstrap of this instance wrote to disk. */
export async function readBootstrapState(host: Host): Promise<BootstrapState | undefined> {
  return readState<BootstrapState>(host, paths.bootstrap, isBootstrapState);
}

export async function writeState(host: Host, state: BootstrapState): Promise<void> {
  await host.machine.writeText(paths.bootstrap, renderState(state));
}

/**
 * Records why a bootstrap waits. A full disk must not end the wait: each new run would end before
 * its first heartbeat, and the launch hook would time out.
 */
export async function recordWait(
  host: Host,
  wait: Partial<Pick<BootstrapState, 'outcome' | 'heldUntil' | 'retryAt'>>,
): Promise<void> {
  try {
    const state = await readBootstrapState(host);
    if (state !== undefined) await writeState(host, { ...state, ...wait });
  } catch (error) {
    host.log.warn('state not written', { error: messageOf(error) });
  }
}

/**
 * An attempt that was interrupted in this boot continues with its remaining time. After an attempt
 * that ended, the next one gets the whole time.
 */
async function beginAttempt(
  host: Host,
  config: Config,
  before: BootstrapState | undefined,
  isAgain: boolean,
): Promise<BootstrapState> {
  const bootId = await host.machine.readBootId();
  const cutOff = !isAgain && before?.outcome === 'running' && before.bootId === bootId;
  const state: BootstrapState = {
    instanceId: host.identity.instanceId,
    identity: { ...purchaseOf(before), ...host.identity },
    cluster: config.cluster,
    bootId,
    startedAt: cutOff ? before.startedAt : host.clock.now(),
    attempts: cutOff ? before.attempts + 1 : 1,
    outcome: 'running',
    steps: plan(config).flatMap(({ name }) => before?.steps.find((step) => step.name === name) ?? []),
  };
  const firstBootId = before === undefined ? bootId : before.firstBootId;
  if (firstBootId !== undefined) state.firstBootId = firstBootId;
  if (before?.hostname !== undefined) state.hostname = before.hostname;
  if (before?.registered !== undefined) state.registered = before.registered;
  if (before?.former !== undefined) state.former = before.former;
  // Under throttling, an attempt that looks everything up again never gets further than the last
  // one.
  if (before?.bootId === bootId && before.place !== undefined) state.place = before.place;
  return state;
}

/**
 * The word of an earlier boot, for a boot that doubts its own. Without it, the agent would believe
 * the same wrong word a few seconds later.
 */
function purchaseOf(before: BootstrapState | undefined): Pick<Identity, 'purchase'> {
  const purchase = before?.identity?.purchase;
  return purchase === undefined ? {} : { purchase };
}

function openBootstrapContext(
  host: Host,
  state: BootstrapState,
  before: BootstrapState | undefined,
  endsAt: number,
): BootstrapContext {
  let kept = before === undefined ? [] : registrationsOf(before);
  const context: BootstrapContext = {
    ...(state.hostname === undefined ? {} : { hostname: state.hostname }),
    ...(state.registered === undefined ? {} : { registered: state.registered }),
    former: state.former ?? [],
    ...(state.place === undefined ? {} : { registrarTarget: state.place }),
    leftMs: () => Math.max(0, endsAt - host.clock.uptime()),
    async save() {
      saveContext(state, context);
      const registrations = registrationsOf(state);
      try {
        await writeState(host, state);
        kept = registrations;
      } catch (error) {
        // On a full disk, the node still boots: its agent then frees the disk, or leaves.
        if (!(error instanceof Unavailable) || registrations.some((each) => !kept.includes(each))) throw error;
        host.log.warn('state not written', { error: messageOf(error) });
      }
    },
  };
  return context;
}

/** Without this on disk, a crash would leave a record that nothing removes. */
function registrationsOf({ registered, former = [] }: BootstrapState): string[] {
  return [registered, ...former].map((each) => [each?.registrar, each?.id, each?.stackId].join(' '));
}

function saveContext(state: BootstrapState, context: BootstrapContext): void {
  delete state.hostname;
  delete state.registered;
  delete state.former;
  delete state.place;
  if (context.registrarTarget !== undefined) state.place = context.registrarTarget;
  if (context.hostname !== undefined) state.hostname = context.hostname;
  if (context.registered !== undefined) state.registered = context.registered;
  if (context.former.length > 0) state.former = context.former;
}

async function runStep(
  step: Step,
  host: Host,
  config: Config,
  state: BootstrapState,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<void> {
  const began = host.clock.uptime();
  const log = host.log.with({ step: step.name });
  const record: StepRecord = { name: step.name, state: 'running', startedAt: host.clock.now() };
  const known = state.steps.findIndex(({ name }) => name === step.name);
  if (known === -1) state.steps.push(record);
  else state.steps[known] = record;

  try {
    signal.throwIfAborted();
    await context.save();
    log.info('step started');
    const work = (until: AbortSignal) => step.run({ ...host, log }, config, context, until);
    record.state = await withTimeout(context.leftMs(), work, host.clock, signal);
  } catch (error) {
    // A stop from outside (a shutdown) is no failure: the next run resumes from here.
    if (signal.aborted) throw error;
    const failure = new StepError(step.name, context.leftMs() === 0 ? timedOut(config, error) : error);
    record.ms = Math.round(host.clock.uptime() - began);
    await recordFailure(host, state, record, context, failure);
    throw failure;
  }
  record.ms = Math.round(host.clock.uptime() - began);
  // The next step writes this result when it begins, before it changes anything. A write at each
  // end as well would double the writes to disk.
  log.info('step done', { outcome: record.state, ms: record.ms });
  await host.machine.say(`ecs-node: ${step.name}: ${record.state} (${seconds(record.ms)})`);
}

/**
 * The deadline interrupted this step, so the reported error is the timeout. A refusal stays a
 * refusal.
 */
function timedOut(config: Config, error: unknown): unknown {
  if (!(error instanceof Unavailable)) return error;
  const why = `not done within ${config.bootstrap.timeoutSeconds} s (bootstrap.timeoutSeconds)`;
  return new Unavailable(error.cause === undefined ? why : `${why}: ${messageOf(error.cause)}`, { cause: error });
}

async function recordFailure(
  host: Host,
  state: BootstrapState,
  record: StepRecord,
  context: BootstrapContext,
  failure: StepError,
): Promise<void> {
  record.state = 'failed';
  record.error = messageOf(failure.cause);
  state.outcome = 'failed';
  state.reason = failure.message;
  host.log.error('step failed', { step: record.name, error: record.error, ms: record.ms });
  await host.machine.say(`ecs-node: ${record.name}: failed: ${record.error}`);
  try {
    await context.save();
  } catch (error) {
    // The disk itself may be broken. People must see the step's own failure, not this one.
    host.log.error('state not written', { error: messageOf(error) });
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
