/** Whether a file of ours still says what its type promises: a torn, forged or older one is as good as none. */

import { flag, isObject, listOf, maybe, number, oneOf, recordOf, shaped, text, time } from './shape.ts';
import { phases } from './state.ts';

const registered = shaped({
  registrar: oneOf('opsworks', 'ssm', 'none'),
  id: maybe(text),
  stackId: maybe(text),
  layerId: maybe(text),
});

export const isBootstrapState = shaped({
  instanceId: text,
  identity: maybe(recordOf(text)),
  cluster: maybe(text),
  bootId: maybe(text),
  firstBootId: maybe(text),
  startedAt: time,
  attempts: number,
  outcome: oneOf('running', 'done', 'failed', 'held'),
  steps: listOf(shaped({ name: text, state: text, startedAt: time, ms: maybe(number), error: maybe(text) })),
  hostname: maybe(text),
  registered: maybe(registered),
  reason: maybe(text),
  heldUntil: maybe(time),
});

export const isLateTags = shaped({ instanceId: text, tags: recordOf(text) });

export const isDepartureState = shaped({
  instanceId: text,
  cause: text,
  reason: text,
  startedAt: time,
  deadline: time,
  ending: oneOf('terminate', 'await', 'remain'),
  phase: oneOf(...phases),
  entered: recordOf(time),
  blockers: listOf(text),
  troubles: listOf(text),
  undoneAt: maybe(time),
  eventGone: maybe(flag),
  key: maybe(text),
  bootId: maybe(text),
  hardDeadline: maybe(flag),
  undoAt: maybe(time),
  returns: maybe(flag),
  drainedAt: maybe(time),
  farewellAt: maybe(time),
});

export const isRequest = shaped({
  instanceId: text,
  id: text,
  action: oneOf('leave', 'stay'),
  reason: text,
  terminate: flag,
  at: time,
});

const wish = shaped({
  reason: text,
  ending: oneOf('terminate', 'await', 'remain'),
  deadline: maybe(time),
  key: maybe(text),
  undoAfterMs: maybe(number),
  revocableAfterMs: maybe(number),
  returns: maybe(flag),
});

const memory = shaped({
  streak: shaped({ kind: oneOf('well', 'ailing', 'doomed'), checks: number, ms: number, lastAt: maybe(number) }),
  checks: number,
  attempts: number,
  begun: flag,
  handled: listOf(text),
  wish: maybe(wish),
  excused: maybe(flag),
  settled: flag,
});

const watcher = shaped({
  finding: text,
  reason: maybe(text),
  facts: maybe(isObject),
  at: time,
  since: time,
  error: maybe(text),
});

const chore = shaped({
  outcome: text,
  at: time,
  changedAt: maybe(time),
  error: maybe(text),
  failingSince: maybe(time),
});

export const isAgentStatus = shaped({
  instanceId: text,
  bootId: text,
  at: time,
  join: shaped({ state: text, detail: text, since: time }),
  watchers: recordOf(watcher),
  chores: maybe(recordOf(chore)),
  lastError: maybe(shaped({ what: text, error: text, at: time })),
  memories: recordOf(memory),
});
