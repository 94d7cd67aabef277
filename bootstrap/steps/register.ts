/** Registers the node with the configured registrar, through which its team reaches it. */

import { messageOf } from '../../core/errors.ts';
import type { Host } from '../../core/host.ts';
import { withTimeout } from '../../core/retry.ts';
import type { Registered } from '../../core/state/state.ts';
import { logOptionalFailure } from '../poll.ts';
import { deregister, registrarOf } from '../registrars/registrars.ts';
import type { BootstrapContext, Step } from '../step.ts';

/** Shutdown recipes run for up to five minutes, and the calls around them take two more. */
const patienceMs = 420_000;

/** For each later boot: a former registrar may be gone for good, and ECS waits meanwhile. */
const againMs = 30_000;

export const register: Step = {
  name: 'register',
  async run(host, config, context, signal) {
    const { registered: before, former } = context;
    const registrar = registrarOf(config);
    const isHere = (one: Registered) =>
      one.registrar === config.registrar && registrar.isElsewhere?.(one, context) !== true;
    const moved = before !== undefined && !isHere(before);
    if (moved || before === undefined) {
      // The configuration may name a former registrar again. A new record would be a second one.
      const back = former.find(isHere);
      context.former = [...former.filter((one) => one !== back), ...(moved ? [before] : [])];
      if (back === undefined) delete context.registered;
      else context.registered = back;
      if (moved || back !== undefined) await context.save();
    }
    await leaveFormer(host, context, moved ? patienceMs : againMs, signal);
    return registrar.register(host, config, context, signal);
  },
};

/**
 * A former registrar may refuse, or be gone for ever, and the node is needed all the same. A
 * registration that stays is tried again at the next boot, and when the node leaves.
 */
async function leaveFormer(host: Host, context: BootstrapContext, withinMs: number, signal: AbortSignal) {
  const { clock, log, machine } = host;
  const end = clock.uptime() + Math.min(withinMs, context.leftMs() / 2);
  for (const one of context.former) {
    log.info('leaving the former registrar', { ...one });
    try {
      await withTimeout(end - clock.uptime(), (callSignal) => deregister(host, one, callSignal), clock, signal);
    } catch (error) {
      const what = `the registration ${one.id ?? 'under way'} with the former registrar ${one.registrar} stays`;
      const remedy = 'allow or mend it and reboot, or deregister the node there by hand';
      logOptionalFailure(`${what}: ${remedy}`, host, error, signal);
      await machine.say(`ecs-node: ${what} (${messageOf(error)}): ${remedy}`);
      continue;
    }
    context.former = context.former.filter((each) => each !== one);
    await context.save();
  }
}
