/** A template as data: `!Ref X` becomes { Ref: 'X' }, CloudFormation's own long form. */

import { readFileSync } from 'node:fs';
import { parse, YAMLMap, type ScalarTag, type CollectionTag } from 'yaml';

export interface Template {
  Parameters: Record<string, { Type: string; Default?: string | number }>;
  Metadata: { 'AWS::CloudFormation::Interface': { ParameterGroups: { Parameters: string[] }[] } };
  Resources: Record<string, { Type: string; Condition?: string; Properties: Record<string, unknown> }>;
}

const functions = ['Ref', 'Sub', 'GetAtt', 'If', 'Equals', 'Not', 'And', 'Or', 'Join', 'Split', 'Select', 'Condition'];

export function readTemplate(file = 'cluster.yaml'): Template {
  const name = (tag: string) => (tag === 'Ref' || tag === 'Condition' ? tag : `Fn::${tag}`);
  const scalars = functions.map((tag): ScalarTag => ({ tag: `!${tag}`, resolve: (text) => ({ [name(tag)]: text }) }));
  const lists = functions.map((tag): CollectionTag => ({
    tag: `!${tag}`,
    collection: 'seq',
    resolve: (items) => {
      const map = new YAMLMap();
      map.set(name(tag), items);
      return map;
    },
  }));
  return parse(readFileSync(`cloudformation/${file}`, 'utf8'), { customTags: [...scalars, ...lists] }) as Template;
}
