import { expect, test } from 'vitest';
import { commandsOf } from './fences.ts';
import { pages, plan, planned } from './plan.ts';

test.each(pages)('each command of %s is run, or has a reason why not, and the plan has no other', (page) => {
  expect(plan.filter((each) => each.page === page).map(({ command }) => command)).toEqual(commandsOf(page));
});

test('a command that is not run says why, and the others do not', () => {
  expect(plan.filter(({ how, why }) => (how === 'not run') !== (why !== undefined))).toEqual([]);
  expect(planned('not run').length).toBeLessThan(plan.length / 2);
});
