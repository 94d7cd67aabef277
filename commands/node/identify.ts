/**
 * Reads which instance this is, for the whole life of the agent or a bootstrap. One wrong answer of
 * the metadata service would make it act on another node, so a second source must name the same
 * instance.
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
  const others = await readOthers(localHost);
  const lasts = openLasting(clock, others.length === 0 ? aloneMs : contradictedMs);
  for (let warnedOf = ''; ;) {
    const identity = await callMetadata(localHost, context, withinMs, signal, (callSignal) =>
      metadata.readIdentity(callSignal),
    );
    const { instanceId } = identity;
    if (others.includes(instanceId) || lasts(instanceId)) return identity;
    if (others.length > 0 && instanceId !== warnedOf)
      context.log.warn('the metadata service alone says that this is another instance', { instanceId, others });
    warnedOf = instanceId;
    await clock.sleep(everyMs, signal);
  }
}

/** The ids by the last bootstrap and by the firmware, as far as they can be read. */
async function readOthers({ machine }: Pick<LocalHost, 'machine'>): Promise<string[]> {
  const read = (path: string) => machine.readText(path).catch(() => undefined);
  const ids = [idIn(await read(paths.bootstrap)), (await read(assetTag))?.trim()];
  return ids.flatMap((id) => (id !== undefined && /^i-[0-9a-f]{8,17}$/.test(id) ? [id] : []));
}

function idIn(text: string | undefined): string | undefined {
  try {
    const { instanceId } = JSON.parse(text ?? '{}') as { instanceId?: unknown };
    return typeof instanceId === 'string' ? instanceId : undefined;
  } catch {
    return undefined;
  }
}
