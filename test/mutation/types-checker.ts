/**
 * A checker for StrykerJS. It draws the mutations of this run, and lets the compiler refuse those
 * that do not fit the types. Stryker's own checker needs the JavaScript compiler, which TypeScript
 * 7 no longer is.
 */

import { draw, plant, toMutation, type Mutation, type StrykerMutant } from '../../scripts/mutation/random.ts';
import { readRecord } from '../../scripts/mutation/record.ts';
import { run } from '../../scripts/mutation/run.ts';

type Identified = StrykerMutant & { id: string };

type Result = { status: 'passed' } | { status: 'compileError'; reason: string };

interface Drawn {
  id: string;
  mutation: Mutation;
}

/** The first run takes five seconds on a quiet machine, and took five minutes on a busy one. */
const compilerMs = 1_800_000;

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set; use npm run mutate`);
  return value;
}

class TypesChecker {
  readonly #tree = setting('MUTATION_TREE');
  #drawn = new Set<string>();

  /** A tree that does not compile by itself would seem to refuse every mutation. */
  async init(): Promise<void> {
    const [error] = await compile(this.#tree, []);
    if (error !== undefined) throw new Error(`the tree does not compile without a mutation: ${error.text}`);
  }

  /** Each group has at most one mutation of a file, because one run of the compiler serves it. */
  async group(mutants: Identified[]): Promise<string[][]> {
    if (this.#drawn.size > 0) throw new Error('Stryker groups the mutations in parts; then a draw is not repeatable');
    const keyOf = (mutant: StrykerMutant) => JSON.stringify(toMutation(mutant, 0));
    const known = new Set(
      (await readRecord(setting('MUTATION_RECORD'))).map(({ mutation }) => JSON.stringify(mutation)),
    );
    const drawn = draw(mutants, Number(setting('MUTATION_SEED')), Number(setting('MUTATION_COUNT')), keyOf);
    const chosen = drawn.filter((mutant) => !known.has(keyOf(mutant)));
    this.#drawn = new Set(chosen.map(({ id }) => id));
    const groups: Map<string, string>[] = [];
    for (const { id, fileName } of chosen) {
      const group = groups.find((each) => !each.has(fileName));
      if (group === undefined) groups.push(new Map([[fileName, id]]));
      else group.set(fileName, id);
    }
    const others = mutants.map(({ id }) => id).filter((id) => !this.#drawn.has(id));
    return [...groups.map((group) => [...group.values()]), ...(others.length === 0 ? [] : [others])];
  }

  async check(mutants: Identified[]): Promise<Record<string, Result>> {
    const drawn = mutants
      .filter(({ id }) => this.#drawn.has(id))
      .map((mutant) => ({ id: mutant.id, mutation: toMutation(mutant, 0) }));
    const refused = drawn.length === 0 ? new Map<string, string>() : await findRefused(this.#tree, drawn);
    return Object.fromEntries(
      mutants.map(({ id }): [string, Result] => {
        const reason = this.#drawn.has(id) ? refused.get(id) : 'not drawn';
        return [id, reason === undefined ? { status: 'passed' } : { status: 'compileError', reason }];
      }),
    );
  }
}

/**
 * Compiles all together. An error on a mutated line convicts its mutation; when other errors
 * remain, their mutations are looked for among smaller and smaller parts.
 */
async function findRefused(tree: string, drawn: readonly Drawn[]): Promise<Map<string, string>> {
  if (drawn.length === 0) return new Map();
  const errors = await compile(tree, drawn);
  const [only] = drawn;
  if (drawn.length === 1 && only !== undefined && errors.length > 0) return new Map([[only.id, errors[0]?.text ?? '']]);
  const refused = new Map<string, string>();
  for (const { id, mutation } of drawn) {
    const error = errors.find((each) => isOn(mutation, each));
    if (error !== undefined) refused.set(id, error.text);
  }
  const isOfRefused = ({ file }: CompilerError) =>
    drawn.some(({ id, mutation }) => refused.has(id) && mutation.file === file);
  const unexplained = errors.filter((error) => !isOfRefused(error));
  if (unexplained.length === 0) return refused;
  const others = drawn.filter(({ id }) => !refused.has(id));
  for (const part of split(others, unexplained))
    for (const [id, reason] of await findRefused(tree, part)) refused.set(id, reason);
  return refused;
}

/**
 * Alone where its own file has an error, for instance a missing return. The rest in two halves, if
 * a file without a mutation has an error, for instance of an import.
 */
function split(drawn: readonly Drawn[], errors: readonly CompilerError[]): (readonly Drawn[])[] {
  const hasError = ({ mutation }: Drawn) => errors.some(({ file }) => file === mutation.file);
  const isElsewhere = errors.some(({ file }) => drawn.every(({ mutation }) => mutation.file !== file));
  const others = isElsewhere ? drawn.filter((each) => !hasError(each)) : [];
  const half = Math.ceil(others.length / 2);
  return [...drawn.filter(hasError).map((each) => [each]), others.slice(0, half), others.slice(half)];
}

interface CompilerError {
  file: string;
  line: number;
  text: string;
}

function isOn({ file, start, replacement }: Mutation, error: CompilerError): boolean {
  const lines = replacement.split('\n').length;
  return error.file === file && error.line >= start.line && error.line < start.line + lines;
}

async function compile(tree: string, drawn: readonly Drawn[]): Promise<CompilerError[]> {
  const remove = await plant(
    tree,
    drawn.map(({ mutation }) => mutation),
  );
  try {
    // The compiler looks only at what changed since its last run.
    const args = ['--pretty', 'false', '--incremental', '--tsBuildInfoFile', '.tsbuildinfo'];
    const { code, output, hangs } = await run('node_modules/.bin/tsc', args, tree, compilerMs);
    if (hangs) throw new Error('the compiler does not end');
    const errors = [...output.matchAll(/^(\S+)\((\d+),\d+\): (error .*)$/gm)].map(([, file = '', line, text = '']) => ({
      file,
      line: Number(line),
      text,
    }));
    if (code !== 0 && errors.length === 0) throw new Error(`the compiler failed: ${output}`);
    return errors;
  } finally {
    await remove();
  }
}

const create = () => new TypesChecker();
create.inject = [] as const;

export const strykerPlugins = [{ kind: 'Checker', name: 'types', factory: create }];
