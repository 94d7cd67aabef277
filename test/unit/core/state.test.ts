import { expect, test } from 'vitest';
import { isAgentStatus, type AgentStatus } from '../../../agent/status.ts';
import { parseState, type BootstrapState } from '../../../core/state/state.ts';
import { isBootstrapState } from '../../../core/state/state-shape.ts';

const whole = { instanceId: 'i-1', startedAt: 1, attempts: 1, outcome: 'running', steps: [] };
const read = (state: unknown, instanceId = 'i-1') =>
  parseState<BootstrapState>(JSON.stringify(state), instanceId, isBootstrapState);

test('a state counts only on its own instance', () => {
  expect(read(whole)).toEqual(whole);
  expect(read(whole, 'i-2')).toBeUndefined();
});

test.each([
  ['steps that are no list', { ...whole, steps: 5 }],
  ['a step without a name', { ...whole, steps: [{ state: 'failed', startedAt: 1 }] }],
  ['a time that no clock shows', { ...whole, startedAt: 9e15 }],
  ['an outcome that nobody knows', { ...whole, outcome: 'toString' }],
  ['nothing in it', null],
  ['an OpsWorks target of another shape', { ...whole, place: 'web' }],
  ['an OpsWorks target without its ids', { ...whole, place: { stack: 'a', layer: 'b' } }],
  ['an identity of another shape', { ...whole, identity: { instanceId: 'i-1' } }],
])('a state with %s counts as absent: the bootstrap starts again instead of failing without end', (_, state) => {
  expect(read(state)).toBeUndefined();
});

test('additional fields of a newer version do not matter', () => {
  expect(read({ ...whole, more: { of: 'it' } })).toBeDefined();
});

test('a step of a newer version costs the node no memory of itself after a roll back', () => {
  const registered = { registrar: 'opsworks', id: 'x' };
  const steps = [{ name: 'a-step-of-tomorrow', state: 'postponed', startedAt: 1 }];
  expect(read({ ...whole, registered, hostname: 'ecs1', steps })).toMatchObject({ registered, hostname: 'ecs1' });
});

const status: AgentStatus = {
  instanceId: 'i-1',
  bootId: 'b',
  at: 1,
  join: { state: 'joined', detail: '', since: 1 },
  watchers: {},
  memories: {},
};

test.each([
  ['configuration that is no object', { ...status, configuration: 'new' }],
  ['configuration without its lists', { ...status, configuration: { takenOverAt: 1 } }],
  ['a join state that does not exist', { ...status, join: { ...status.join, state: 'dancing' } }],
])('an agent status with %s counts as absent, so that `ecs-node status` prints the rest', (_, text) => {
  expect(isAgentStatus(status)).toBe(true);
  expect(isAgentStatus(text)).toBe(false);
});
