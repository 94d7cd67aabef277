/** Finds the configured stack and layer, and checks that this instance may be in them. */

import type { Config } from '../../../config/config.ts';
import { Refused, isDenied, messageOf } from '../../../core/errors.ts';
import type { Host, Layer, Stack } from '../../../core/host.ts';
import { openLasting } from '../../../core/lasting.ts';
import { jitter } from '../../../core/retry.ts';
import type { OpsWorksTarget } from '../../../core/opsworks/opsworks-target.ts';
import type { Registered } from '../../../core/state/state.ts';
import type { BootstrapContext } from '../../step.ts';
import { callWithRetry } from '../../poll.ts';
import { lethalLastsMs } from './unless-moved.ts';

/**
 * An answer that blames the configured names must last this long before a person is called: the
 * stack may be new, and one answer may be stale, empty or wrong.
 */
const wrongForMs = 60_000;

/** The pauses between two looks grow: the whole group may ask the same. */
const lookAgainMs = 5_000;
const maxPauseMs = 20_000;

/**
 * Keeps a target that an earlier attempt of this boot found under the same names. One answer may
 * give such a name another id. So a target elsewhere than the node's record must last: the node
 * would leave its stack or layer, and run its shutdown recipes.
 */
export async function prepareOpsWorksTarget(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<void> {
  const { stack = '', layer = '' } = config.opsworks;
  const { registrarTarget: known } = context;
  if (known?.stack === stack && known.layer === layer) return;
  delete context.registrarTarget;
  const { clock, log } = host;
  const isWrong = openLasting(clock, wrongForMs, Infinity);
  const isMove = openLasting(clock, lethalLastsMs(config));
  for (let pauseMs = lookAgainMs; ; pauseMs = Math.min(pauseMs * 2, maxPauseMs)) {
    try {
      const target = await findTarget(host, stack, layer, context, signal);
      isWrong(false);
      const elsewhere = renderElsewhere(context.registered, target);
      if (elsewhere === undefined || isMove(elsewhere)) {
        context.registrarTarget = target;
        return;
      }
      log.warn('the OpsWorks record of this node is elsewhere; looks again', { configured: elsewhere });
    } catch (error) {
      if (!(error instanceof WrongTarget) || isWrong(true)) throw error;
      log.warn('will try again', { error: messageOf(error) });
    }
    await clock.sleep(jitter(pauseMs), signal);
  }
}

/** The target's ids where the record has others. */
function renderElsewhere(registered: Registered | undefined, { stackId, layerId }: OpsWorksTarget): string | undefined {
  if (registered?.registrar !== 'opsworks') return undefined;
  const { stackId: ownStack = stackId, layerId: ownLayer = layerId } = registered;
  return ownStack === stackId && ownLayer === layerId ? undefined : `${stackId} ${layerId}`;
}

async function findTarget(
  host: Host,
  stackName: string,
  layerName: string,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<OpsWorksTarget> {
  const stack = await findStack(host, stackName, context, signal);
  const { region } = host.identity;
  if (stack.region !== region) {
    throw fault(
      'stack',
      `stack "${stack.name}" (${stack.id}) is for ${stack.region}, this instance runs in ${region}; name a stack of ${region}, or launch the node in ${stack.region}`,
    );
  }
  const layer = await callWithRetry(host, context, signal, (callSignal) =>
    host.cloud.readLayer(stack.id, layerName, callSignal),
  );
  if (layer === undefined) {
    throw fault('layer', `stack "${stack.name}" has no layer with the id or short name "${layerName}"`);
  }
  if (layer.stackId !== stack.id) throw foreignLayer(layer, stack);
  return { stack: stackName, layer: layerName, stackId: stack.id, layerId: layer.id };
}

/** The ids of the stack and layer that `preflight` found for this node. */
export function opsworksTargetOf(context: BootstrapContext): { stackId: string; layerId: string } {
  const { stackId, layerId } = targetOf(context);
  return { stackId, layerId };
}

/** OpsWorks counts its suggestions, so the node asks for one only once a boot. */
export async function suggestHostname(host: Host, context: BootstrapContext, signal: AbortSignal): Promise<string> {
  const target = targetOf(context);
  const suggest = (callSignal: AbortSignal) => host.cloud.suggestHostname(target.layerId, callSignal);
  return (target.suggested ??= await callWithRetry(host, context, signal, suggest));
}

function targetOf({ registrarTarget }: BootstrapContext): OpsWorksTarget {
  if (registrarTarget === undefined) throw new Error('preflight did not find the stack');
  return registrarTarget;
}

async function findStack(host: Host, name: string, context: BootstrapContext, signal: AbortSignal): Promise<Stack> {
  let stack: Stack | undefined;
  try {
    stack = await callWithRetry(host, context, signal, (callSignal) => host.cloud.readStack(name, callSignal));
  } catch (error) {
    // A missing permission says nothing about the configured name.
    if (!(error instanceof Refused) || isDenied(error)) throw error;
    throw fault('stack', `"${name}" cannot be used: ${messageOf(error)}; name the stack by its id`, error);
  }
  if (stack === undefined) {
    throw fault('stack', `there is no stack with the id or name "${name}" that OpsWorks shows to this node`);
  }
  return stack;
}

function foreignLayer(layer: Layer, stack: Stack): WrongTarget {
  return fault(
    'layer',
    `layer "${layer.shortName}" (${layer.id}) belongs to stack ${layer.stackId}, not to "${stack.name}" (${stack.id}); name a layer of that stack`,
  );
}

function fault(setting: 'stack' | 'layer', problem: string, cause?: unknown): WrongTarget {
  return new WrongTarget(`opsworks.${setting}: ${problem} (--opsworks-${setting})`, { cause });
}

/**
 * OpsWorks does not show the configured stack or layer as usable. It is no ConfigError, although
 * the name may be wrong: OpsWorks may show it later. So the node keeps looking, and keeps its
 * launch hook alive.
 */
class WrongTarget extends Refused {}
