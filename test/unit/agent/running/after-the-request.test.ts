/**
 * The node has requested its end, or is about to. AWS, the group and people need time, and the
 * node's reason may pass meanwhile.
 */

import { describe, expect, it } from 'vitest';
import { Refused } from '../../../../core/errors.ts';
import { ask, inService, minute } from './in-service.ts';

const denied = new Refused('not authorized', { code: 'AccessDenied' });
const methods = ['terminateInGroup', 'reportUnhealthy', 'terminateSelf', 'powerOff'];

// ACTIVE for a minute: the denial of the first request dropped the second one.
describe('a person whose request to leave AWS refuses', () => {
  it.each([true, false])('may repeat it, and the node stays drained (to terminate: %s)', async (terminate) => {
    const { stage, agent, run } = await inService();
    for (const method of methods) stage.world.calls.fails(method, denied);
    ask(stage, 'leave');
    await run(5 * minute);
    expect(stage.departure().irrevocable?.askedToEndAt).toBeDefined();
    ask(stage, 'leave', terminate);
    await run(20 * minute);
    expect(stage.deeds()).not.toContain('activate');
    await agent.stop();
  });
});
