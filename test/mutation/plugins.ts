/**
 * Plugins for StrykerJS: one leaves out mutations that decide nothing, one stores what it finds at
 * once. scripts/mutate.ts reads the record.
 */

import { toMutation, type StrykerMutant } from '../../scripts/mutation/random.ts';
import { addToRecord } from '../../scripts/mutation/record.ts';

/** As Babel describes the code: what the rules below need of it. */
interface Path {
  node: Node;
  parent?: Node;
  listKey?: string | number;
}

interface Node {
  type: string;
  name?: string;
  callee?: Node;
  object?: Node;
  property?: Node;
  key?: Node;
  properties?: Node[];
}

const levels = new Set(['debug', 'info', 'warn', 'error']);

/** `log.warn(…)`, `host.log.warn(…)`, `machine.say(…)`: words to a person. */
function saysWords({ callee }: Node): boolean {
  const [name, object] = [callee?.property?.name ?? '', callee?.object];
  const of = object?.property?.name ?? object?.name;
  return of === 'log' ? levels.has(name) : of === 'machine' && name === 'say';
}

const hasCause = ({ properties = [] }: Node) => properties.some(({ key }) => key?.name === 'cause');

/** Why no test has to find a mutation in this part of the code; undefined where one has to. */
function reasonToIgnore({ node, parent, listKey }: Path): string | undefined {
  if (listKey !== 'arguments' || parent === undefined) return undefined;
  if (saysWords(parent)) return 'words to a person';
  return parent.type === 'NewExpression' && hasCause(node) ? 'the cause of an error' : undefined;
}

class Record {
  readonly #path = process.env['MUTATION_RECORD'] ?? '';

  onMutantTested(mutant: StrykerMutant & { status: string; statusReason?: string }): void {
    const { status, statusReason } = mutant;
    if (status === 'Ignored' || statusReason === 'not drawn') return;
    addToRecord(this.#path, { mutation: toMutation(mutant, 1), status });
  }
}

function plugin(kind: string, name: string, create: () => object) {
  return { kind, name, factory: Object.assign(create, { inject: [] as const }) };
}

export const strykerPlugins = [
  plugin('Ignore', 'words', () => ({ shouldIgnore: reasonToIgnore })),
  plugin('Reporter', 'record', () => new Record()),
];
