/**
 * `ecs-node check`: prints the effective configuration as YAML with the source of each value, or
 * every fault.
 */

import { Document, isMap, isScalar, isSeq, visit, type Node } from 'yaml';
import type { Config } from '../config/config.ts';
import { retry } from '../core/retry.ts';
import { visible } from '../core/visible.ts';
import { openClock } from '../host/clock.ts';
import { opsworksRetired } from '../host/aws/session/endpoints.ts';
import { openMetadata } from '../host/metadata/imds.ts';
import { openMachine } from '../host/machine.ts';
import { isSet, type CommandContext, type Run } from '../cli/command.ts';
import { warnOfMisspeltSettings } from '../config/ecs-agent-settings.ts';
import { logWarnings, readFileLayers, resolveConfig } from '../config/load-config.ts';
import { parseLayers } from '../config/sources/files.ts';
import { readOutside } from '../config/sources/tags-and-user-data.ts';
import { hideSecrets } from './hide-secrets.ts';

/** A person waits for the command. */
const metadataMs = 10_000;

export const check: Run = async (context, args, signal) => {
  const machine = openMachine(context.root, context.environment);
  const [file] = args.operands;
  const files = file === '-' ? await readInput(context) : await readFileLayers(machine, originOf(context, file));
  const clock = openClock();
  const outside = isSet(args, 'metadata')
    ? await retry((callSignal) => readOutside(openMetadata(context.environment, clock), callSignal), {
        clock,
        signal,
        withinMs: metadataMs,
      })
    : undefined;
  const loaded = resolveConfig(files, [], outside);
  logWarnings(loaded, context.log);
  warnOfRetired(loaded.config, context);
  warnOfMisspeltSettings(loaded.config, context.log);
  context.print(renderEffective(loaded.config, loaded.sourceOf));
  return 0;
};

function originOf(context: CommandContext, file: string | undefined): Parameters<typeof readFileLayers>[1] {
  return file === undefined ? context : { configFile: context.resolve(file), configFileGiven: true, log: context.log };
}

/** The parser refuses a text that is longer than a configuration. */
async function readInput({ openInput }: Pick<CommandContext, 'openInput'>): Promise<ReturnType<typeof parseLayers>> {
  const chunks: Buffer[] = [];
  for await (const chunk of openInput()) chunks.push(Buffer.from(chunk as Uint8Array));
  return parseLayers([{ path: 'standard input', text: Buffer.concat(chunks).toString() }]);
}

/**
 * Such a configuration is complete with a compatible endpoint. AWS's own endpoint no longer
 * resolves.
 */
function warnOfRetired({ registrar }: Config, { environment, log }: Pick<CommandContext, 'environment' | 'log'>): void {
  const endpoint = environment['AWS_ENDPOINT_URL_OPSWORKS'] || environment['AWS_ENDPOINT_URL'];
  if (registrar === 'opsworks' && !endpoint)
    log.warn('registrar opsworks has no endpoint', { remedy: opsworksRetired });
}

/** The text is valid YAML, and a valid configuration once its secrets are filled in again. */
export function renderEffective(config: Config, sourceOf: (path: string) => string | undefined): string {
  const document = new Document(config);
  hideSecrets(document);
  visit(document, {
    // An escaped character keeps its meaning only inside double quotes.
    Scalar(_, scalar) {
      if (typeof scalar.value === 'string' && visible(scalar.value) !== scalar.value) scalar.type = 'QUOTE_DOUBLE';
    },
  });
  annotate(document.contents, [], sourceOf);
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function annotate(node: unknown, path: readonly string[], sourceOf: (path: string) => string | undefined): void {
  if (isMap(node) && node.items.length > 0) {
    for (const { key, value } of node.items)
      annotate(value, [...path, String((key as { value: unknown }).value)], sourceOf);
  } else if (isScalar(node) || isSeq(node) || isMap(node)) {
    const source = sourceOf(path.join('.'));
    (node as Node).comment = source === undefined ? ' default' : ` from ${source}`;
    if (isSeq(node) || isMap(node)) node.flow = true;
  }
}
