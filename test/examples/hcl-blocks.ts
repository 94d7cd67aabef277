/** Blocks of HCL as hcl2json prints them, in the words of CloudFormation. */

import { texts } from './group-facts.ts';

export type Block = Record<string, unknown>;

export const blockOf = (block: Block, name: string) => (block[name] as Block[])[0]!;

export const hookOf = (hook: Block) => ({
  name: String(hook['name']),
  transition: String(hook['lifecycle_transition']),
  seconds: String(hook['heartbeat_timeout']),
  result: String(hook['default_result']),
});

/** `http_tokens` is CloudFormation's `HttpTokens`. */
export function camel(fields: Block): Record<string, string> {
  const plain = Object.entries(fields).filter(([, value]) => typeof value !== 'object');
  return texts(
    Object.fromEntries(
      plain.map(([key, value]) => [
        key.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase()),
        value,
      ]),
    ),
  );
}
