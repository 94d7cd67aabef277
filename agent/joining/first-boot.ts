/** Tells whether this is the instance's first boot, and whether the node has been in service. */

import { messageOf, Refused, Unavailable } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { openLasting, singleErrorMs } from '../../core/lasting.ts';
import { shaped, text } from '../../core/shape.ts';
import { readState } from '../../core/state/read-state.ts';
import { parseState, paths, renderState, type BootstrapState } from '../../core/state/state.ts';
import { isBootstrapState } from '../../core/state/state-shape.ts';
import { readMembership } from '../../upkeep/group-tag.ts';
import { callOnce } from '../calls.ts';
import { isLaunching } from '../lifecycle-states.ts';

/** False where it is unknown. Auto Scaling's launch hook begins shortly before the first boot. */
export async function isFirstBoot({ machine, identity }: Host): Promise<boolean> {
  try {
    const content = await machine.readText(paths.bootstrap);
    const state = parseState<BootstrapState>(content, identity.instanceId, isBootstrapState);
    return state?.firstBootId !== undefined && state.firstBootId === (await machine.readBootId());
  } catch {
    return false;
  }
}

interface LastJoin {
  instanceId: string;
  bootId: string;
  cluster: string;
}

const isLastJoin = shaped<LastJoin>({ instanceId: text, bootId: text, cluster: text });

/** The pause between two questions whether its group launches the node. */
const launchAgainMs = 25_000;

/** A disk that hangs must not delay the agent. */
const diskMs = 2_000;

/**
 * Remembers across boots that the node has joined, and where. False where the disk refused it: call
 * it again. Never throws, unless stopped.
 */
export async function noteJoined(host: Host, cluster: string, signal: AbortSignal): Promise<boolean> {
  const { machine, identity, log } = host;
  const note = async () => {
    const bootId = await machine.readBootId();
    const last = await readState(host, paths.joined, isLastJoin);
    if (last?.bootId === bootId && last.cluster === cluster) return;
    await machine.writeText(paths.joined, renderState({ instanceId: identity.instanceId, bootId, cluster }));
  };
  try {
    await callOnce(host, signal, note, diskMs);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    log.warn('not remembered that the node has joined', { error: messageOf(error) });
    return false;
  }
}

/**
 * The cluster that the node joined last, where it is not `cluster`. A wrong name at a reboot leads
 * to a cluster that does not know the node. Undefined also where the disk does not tell, because a
 * broken disk must not keep a node whose ECS agent is dead. Never throws, unless stopped.
 */
export async function findOtherCluster(host: Host, cluster: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const last = await callOnce(host, signal, () => readState(host, paths.joined, isLastJoin), diskMs);
    return last?.cluster === cluster ? undefined : last?.cluster;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/**
 * Whether only one source says that a node that has joined before is not in service: ECS, or the
 * configuration, where it names another cluster than before. The node itself sees its ECS agent
 * disconnected also in an outage of ECS. True where that is unknown. False where its group launches
 * the node, from a warm pool for example, and says so for `singleErrorMs`.
 */
export async function isDeniedByOne(host: Host, signal: AbortSignal): Promise<boolean> {
  try {
    if ((await readState(host, paths.joined, isLastJoin)) === undefined) return false;
    const lasts = openLasting(host.clock, singleErrorMs);
    for (;;) {
      const membership = await callOnce(host, signal, (callSignal) => readMembership(host, callSignal));
      if (!isLaunching(membership)) return true;
      if (lasts(true)) return false;
      await host.clock.sleep(launchAgainMs, signal);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Refused || error instanceof Unavailable) return true;
    throw error;
  }
}
