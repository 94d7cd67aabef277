/** Compares policies by what they allow. */

import type { Policy } from '../../../iam/policy.ts';

/** Each action by itself, with the resources and conditions of its statement. */
export function allowances(...policies: Policy[]) {
  return policies
    .flatMap(({ Statement }) =>
      Statement.flatMap(({ Action, Sid: _sid, ...rest }) => Action.map((action) => ({ action, ...rest }))),
    )
    .toSorted((a, b) => (a.action < b.action ? -1 : 1));
}

/** The order of statements and of their actions means nothing. */
export function bySid({ Statement }: Policy): object {
  return Object.fromEntries(Statement.map((each) => [each.Sid, { ...each, Action: each.Action.toSorted() }]));
}
