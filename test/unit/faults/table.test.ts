import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { lethalCodes } from '../../../core/essentials.ts';
import { verbs } from '../../../host/aws/child/verbs.ts';
import { isFinal, play, playedElsewhere, renderTable, upkeepOnly, type Row } from './table.ts';

const file = new URL('table.md', import.meta.url);

/**
 * Why a node may leave there, or give up, by life and verb. Such a line without an argument fails
 * the test.
 */
const hookTimesOut =
  'After 15 minutes. Its tasks have stopped by then, and its group ends the node itself when the hook times out.';

const argued: Readonly<Record<string, string>> = {
  'a scale-in/completeHook': hookTimesOut,
  'bootstrap with registrar opsworks/assign':
    'OpsWorks itself says for 15 s that this record cannot be in that layer. The next node gets a record of its own, and the storm guard bounds how many try.',
  'joining where the ECS agent never registers/readContainerInstance':
    'ECS itself says for `join.timeoutSeconds` that there is no such cluster, and the agent on the machine that it has not registered. The name comes from the launch template: when a person mends it, only new nodes have it. The storm guard bounds how many leave.',
};

const keyOf = ({ life, verb }: Row) => `${life.name}/${verb}`;

describe("the table of a node's reaction to each answer of AWS", () => {
  // Played in the first test, since servers belong to a test; the others look at the same table.
  let made: Awaited<ReturnType<typeof play>>;

  it('matches the one that is checked in (npm run fault-table)', { timeout: 600_000 }, async () => {
    made = await play(new AbortController().signal);
    const text = renderTable(made.rows, (row) => argued[keyOf(row)] ?? 'WITHOUT AN ARGUMENT');
    if (process.env['WRITE_TABLE'] === 'true') await writeFile(file, text);
    expect(text).toBe(await readFile(file, 'utf8'));
  });

  it('reaches the goal of each life without a fault', () => {
    for (const [life, outcome] of made.normal) {
      expect([life.name, outcome]).toEqual([life.name, life.name.includes('never registers') ? 'leaves' : 'goes on']);
    }
  });

  it('has every verb, except those that only chores call', () => {
    const played = new Set(made.rows.map(({ verb }) => verb));
    expect(verbs.filter((verb) => !played.has(verb)).toSorted()).toEqual(
      [...upkeepOnly, ...playedElsewhere].toSorted(),
    );
  });

  it('leaves or gives up only with an argument', () => {
    const final = made.rows.filter(({ answers }) => [...answers.keys()].some(isFinal));
    expect(final.map(keyOf).toSorted()).toEqual(Object.keys(argued).toSorted());
  });

  it('leaves only after a code that is listed as lethal for that call', () => {
    for (const { verb, answers } of made.rows) {
      for (const code of answers.get('leaves') ?? []) expect(lethalCodes[verb]).toContain(code);
    }
  });
});
