/** `ecs-node check`: the effective configuration as YAML, each value with where it came from; every fault at once. */

import { Document, isMap, isScalar, isSeq, visit, type Node } from 'yaml';
import type { Config } from '../core/config.ts';
import { retry } from '../core/patience.ts';
import { tellable } from '../core/secrets.ts';
import { openClock } from '../host/clock.ts';
import { openMetadata } from '../host/imds.ts';
import { openMachine } from '../host/machine.ts';
import { isSet, type Run } from './command.ts';
import { logWarnings, readFileLayers, settle } from './load-config.ts';
import { readOutside } from './sources/outside.ts';

/** A person waits. */
const metadataMs = 10_000;

export const check: Run = async (caller, words, signal) => {
  const machine = openMachine(caller.root, caller.environment);
  const [file] = words.operands;
  const place =
    file === undefined ? caller : { configFile: caller.resolve(file), configFileGiven: true, log: caller.log };
  const files = await readFileLayers(machine, place);
  const clock = openClock();
  const outside = isSet(words, 'metadata')
    ? await retry((inner) => readOutside(openMetadata(caller.environment, clock), inner), {
        clock,
        signal,
        withinMs: metadataMs,
      })
    : undefined;
  const loaded = settle(files, [], outside);
  logWarnings(loaded, caller.log);
  caller.print(renderEffective(loaded.config, loaded.sourceOf));
  return 0;
};

/** Valid YAML, so that it may be used as a configuration, once its secrets are filled in again. */
export function renderEffective(config: Config, sourceOf: (path: string) => string | undefined): string {
  const document = new Document(config);
  annotate(document.contents, [], sourceOf);
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function annotate(node: unknown, path: readonly string[], sourceOf: (path: string) => string | undefined): void {
  if (isMap(node) && node.items.length > 0) {
    for (const { key, value } of node.items)
      annotate(value, [...path, String((key as { value: unknown }).value)], sourceOf);
  } else if (isScalar(node) || isSeq(node) || isMap(node)) {
    const source = sourceOf(path.join('.'));
    hide(node, path.at(-1) ?? '');
    (node as Node).comment = source === undefined ? ' default' : ` from ${source}`;
    if (isSeq(node) || isMap(node)) node.flow = true;
  }
}

/** The output of this command is what people paste into a ticket. */
function hide(node: unknown, name: string): void {
  visit(node as Node, {
    Scalar(_, scalar) {
      if (typeof scalar.value === 'string') scalar.value = tellable(name, scalar.value);
    },
  });
}
