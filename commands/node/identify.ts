/**
 * Reads which instance this is, for the whole life of the agent or a bootstrap. One wrong answer of
 * the metadata service would make it act on another node, so a second source must name the same
 * instance. One wrong purchase would leave a spot instance unwatched for its whole life.
 */

import type { Identity } from '../../core/identity.ts';
import { openLasting } from '../../core/lasting.ts';
import { paths } from '../../core/state/state.ts';
import type { CommandContext } from '../../cli/command.ts';
import { callMetadata, type LocalHost } from './open-host.ts';

/** Nitro instances have their id here. Elsewhere the file is absent, or holds another text. */
export const assetTag = '/sys/devices/virtual/dmi/id/board_asset_tag';

/** The metadata service alone must repeat its answer for this long. */
const aloneMs = 2_000;

/**
 * For this long, where another source names another instance. An image with the state of the
 * instance that it was made of must start, too.
 */
const contradictedMs = 60_000;

const everyMs = 1_000;

export async function identify(
  localHost: Pick<LocalHost, 'machine' | 'metadata' | 'clock'>,
  context: Pick<CommandContext, 'log'>,
  withinMs: number,
  signal: AbortSignal,
): Promise<Identity> {
  const { metadata, clock } = localHost;
  const booted = await readBooted(localHost);
  const others = await readOthers(localHost, booted);
  const lasts = openLasting(clock, others.length === 0 ? aloneMs : contradictedMs);
  for (let warnedOf = ''; ;) {
    const identity = await callMetadata(localHost, context, withinMs, signal, (callSignal) =>
      metadata.readIdentity(callSignal),
    );
    const { instanceId } = identity;
    if (others.includes(instanceId) || lasts(instanceId)) return withoutDoubtedPurchase(identity, booted, context);
    if (others.length > 0 && instanceId !== warnedOf)
      context.log.warn('the metadata service alone says that this is another instance', { instanceId, others });
    warnedOf = instanceId;
    await clock.sleep(everyMs, signal);
  }
}

/**
 * EC2 never changes how an instance was bought, so one of two different words is wrong. Without the
 * word, the agent watches for a spot interruption, and clears the termination protection.
 */
function withoutDoubtedPurchase(identity: Identity, booted: Booted, { log }: Pick<CommandContext, 'log'>): Identity {
  const { purchase, ...others } = identity;
  const isKnown = booted.instanceId === identity.instanceId && booted.purchase !== undefined;
  if (!isKnown || purchase === undefined || purchase === booted.purchase) return identity;
  log.warn('the purchase is not known: the last bootstrap read another one', { purchase, before: booted.purchase });
  return others;
}

/** The ids by the last bootstrap and by the firmware, as far as they can be read. */
async function readOthers({ machine }: Pick<LocalHost, 'machine'>, booted: Booted): Promise<string[]> {
  const firmware = await machine.readText(assetTag).catch(() => undefined);
  const ids = [booted.instanceId, firmware?.trim()];
  return ids.flatMap((id) => (id !== undefined && /^i-[0-9a-f]{8,17}$/.test(id) ? [id] : []));
}

/** The facts that the last bootstrap wrote, as far as they can be read. */
interface Booted {
  instanceId?: string;
  purchase?: string;
}

async function readBooted({ machine }: Pick<LocalHost, 'machine'>): Promise<Booted> {
  try {
    const state: unknown = JSON.parse((await machine.readText(paths.bootstrap)) ?? '{}');
    const { instanceId, identity } = state as { instanceId?: unknown; identity?: { purchase?: unknown } };
    const purchase = identity?.purchase;
    return {
      ...(typeof instanceId === 'string' && { instanceId }),
      ...(typeof purchase === 'string' && { purchase }),
    };
  } catch {
    return {};
  }
}
