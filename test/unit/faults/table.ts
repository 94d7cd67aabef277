/** The table of what a node does after each answer: made by playing, rendered for people. */

import { verbs, type Verb } from '../../../host/aws/child/verbs.ts';
import { answersTo, kindOf, type Answered } from './answers.ts';
import { lightenAborts } from '../../simulation/light-abort.ts';
import { calls } from './calls.ts';
import { lives, outcomes, type Life, type Outcome } from './lives.ts';

export interface Row {
  life: Life;
  verb: Verb;
  /** By what the node does: the answers after which it does so. */
  answers: Map<Outcome, string[]>;
}

/** Verbs of a life that is not played here, and who plays it. */
export const playedElsewhere: readonly Verb[] = [
  // opsworks/leave.test.ts plays every answer while a node leaves its layer.
  'unassign',
  // Second sources, for a spot notice, maintenance and forged records: the tests of departures.
  'ownsContainerInstance',
  'readProtectedTasks',
  'readScheduledEvents',
  'readSpotStatus',
];

/**
 * Verbs that only upkeep calls. A chore that fails is told, counted (`UpkeepFailing`) and done
 * again; it never touches the node's life.
 */
export const upkeepOnly: readonly Verb[] = ['readDocuments', 'readTaskDefinition', 'startTask', 'readStopReason'];

export async function play(signal: AbortSignal): Promise<{ rows: Row[]; normal: Map<Life, Outcome> }> {
  const answered = new Map(
    await Promise.all(verbs.map(async (verb): Promise<[Verb, Answered[]]> => [verb, await answersTo(verb, signal)])),
  );
  const rows: Row[] = [];
  const normal = new Map<Life, Outcome>();
  // The lives take a month of simulated time, and Node's own signals take half of the real one.
  const restore = lightenAborts();
  try {
    for (const life of lives) {
      const called = new Set<string>();
      normal.set(life, await life.play(undefined, called));
      for (const verb of verbs) {
        if (called.has(verb) && life.only?.includes(verb) !== false)
          rows.push({ life, verb, answers: await playAll(life, verb, answered.get(verb) ?? []) });
      }
    }
  } finally {
    restore();
  }
  return { rows, normal };
}

async function playAll(life: Life, verb: Verb, answered: readonly Answered[]): Promise<Row['answers']> {
  const answers: Row['answers'] = new Map();
  for (const same of Map.groupBy(answered, ({ error }) => kindOf(error)).values()) {
    const [first] = same;
    if (first === undefined) continue;
    const outcome = await life.play({ verb, error: first.error });
    answers.set(outcome, [...(answers.get(outcome) ?? []), ...same.map(({ answer }) => answer)]);
  }
  return answers;
}

const head = `# What a node does after each answer of AWS

Made by \`npm run fault-table\`, which plays each line: the product lives that part of its life over the fakes, and the call gives the same answer for an hour.
The answers come from the AWS service models, and from what stands between a node and AWS.
Over the wire, the real SDK and \`host/aws/fault.ts\` turn each of them into the error that the node then meets.

* **goes on**: the node reaches the goal without that call.
* **tries again**: the node waits, and reaches the goal by itself when the answer changes.
* **stays and tells**: the node waits for a person, says so, and reaches the goal by itself when the answer changes.
* **leaves**: the node ends itself. Each such line has its argument.
* **gives up**: the node leaves the rest to others. Each such line has its argument, too.

Chores of the agent's upkeep are not here: one that fails is told, counted in \`UpkeepFailing\`, and done again.
`;

export function renderTable(rows: readonly Row[], why: (row: Row) => string): string {
  const sections = lives.map((life) => {
    const own = rows.filter((row) => row.life === life);
    return `\n## ${life.name}\n\nGoal: ${life.goal}.\n\n${own.map((row) => renderRow(row, why)).join('\n')}`;
  });
  return head + sections.join('');
}

/** Nothing that AWS answers later changes it. */
export function isFinal(outcome: Outcome): boolean {
  return outcome === 'leaves' || outcome === 'gives up';
}

function renderRow(row: Row, why: (row: Row) => string): string {
  const { verb, answers } = row;
  const commands = calls[verb].commands.join(', ');
  const lines = outcomes.flatMap((outcome) => {
    const list = answers.get(outcome);
    if (list === undefined) return [];
    const what = answers.size === 1 ? 'whatever the answer' : list.join(', ');
    return [`  * ${outcome}: ${what}.${isFinal(outcome) ? ` ${why(row)}` : ''}`];
  });
  return `* \`${verb}\` (${commands})\n${lines.join('\n')}\n`;
}
