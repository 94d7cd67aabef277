/** Decides whether a policy document allows a request. An explicit denial wins. */

import { operators } from './conditions.ts';

export interface IamRequest {
  action: string;
  resource: string;
  /** Condition keys. IAM ignores their case. */
  context: Readonly<Record<string, string | readonly string[]>>;
}

export interface Statement {
  Sid?: string;
  Effect: 'Allow' | 'Deny';
  Action?: string | string[];
  NotAction?: string | string[];
  Resource?: string | string[];
  NotResource?: string | string[];
  Condition?: Record<string, Record<string, string | string[]>>;
}

export interface Policy {
  Version: string;
  Statement: Statement[];
}

/** Throws for a document that IAM would refuse to store. */
export function parsePolicy(value: unknown): Policy {
  const document = (typeof value === 'string' ? JSON.parse(value) : value) as Partial<Policy> | null;
  const fail = (problem: string): never => {
    throw new Error(`MalformedPolicyDocument: ${problem}`);
  };
  if (document?.Version !== '2012-10-17' && document?.Version !== '2008-10-17') fail('unknown Version');
  const statements = document?.Statement as Statement | Statement[] | undefined;
  if (statements === undefined) return fail('no Statement');
  const list = Array.isArray(statements) ? statements : [statements];
  for (const { Effect, Action, NotAction, Resource, NotResource, Condition = {} } of list) {
    if (Effect !== 'Allow' && Effect !== 'Deny') fail(`Effect ${String(Effect)}`);
    if ((Action === undefined) === (NotAction === undefined)) fail('a statement needs Action or NotAction');
    if ((Resource === undefined) === (NotResource === undefined)) fail('a statement needs Resource or NotResource');
    for (const action of many(Action ?? NotAction)) {
      if (!/^(\*|[\w-]+:[\w*?]+)$/.test(action)) fail(`Action ${action}`);
    }
    for (const resource of many(Resource ?? NotResource)) {
      // IAM accepts a variable only in the last part of an ARN.
      if (!/^(\*|arn:[^:$]*:[^:$]*:[^:$]*:[^:$]*:.+)$/.test(resource)) fail(`Resource ${resource}`);
    }
    for (const operator of Object.keys(Condition)) if (!findOperator(operator)) fail(`Condition ${operator}`);
  }
  return { Version: '2012-10-17', Statement: list };
}

export function isAllowed({ Statement }: Policy, request: IamRequest): boolean {
  const applying = Statement.filter((statement) => applies(statement, request));
  return applying.some(({ Effect }) => Effect === 'Allow') && !applying.some(({ Effect }) => Effect === 'Deny');
}

function applies(statement: Statement, { action, resource, context }: IamRequest): boolean {
  const { Action, NotAction, Resource, NotResource, Condition = {} } = statement;
  const lookUp = contextReader(context);
  const actionFits = many(Action ?? NotAction).some((pattern) => like(action.toLowerCase(), pattern.toLowerCase()));
  if (actionFits === (NotAction !== undefined)) return false;
  const resourceFits = many(Resource ?? NotResource).some((pattern) => like(resource, substitute(pattern, lookUp)));
  if (resourceFits === (NotResource !== undefined)) return false;
  return Object.entries(Condition).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wanted]) =>
      holds(
        operator,
        lookUp(key),
        many(wanted).map((each) => substitute(each, lookUp)),
      ),
    ),
  );
}

type LookUp = (key: string) => readonly string[] | undefined;

function contextReader(context: IamRequest['context']): LookUp {
  const byKey = new Map(Object.entries(context).map(([key, value]) => [key.toLowerCase(), many(value)]));
  return (key) => byKey.get(key.toLowerCase());
}

/** Replaces variables such as `${ec2:InstanceID}`. A variable without a value matches nothing. */
function substitute(pattern: string, lookUp: LookUp): string {
  return pattern.replaceAll(/\$\{([^}]*)\}/g, (_whole, name: string) => {
    if (name === '*' || name === '?' || name === '$') return name;
    return lookUp(name)?.[0] ?? '\u0000';
  });
}

function holds(name: string, values: readonly string[] | undefined, wanted: readonly string[]): boolean {
  const operator = findOperator(name);
  if (!operator) return false;
  const { quantifier, ifExists, base } = operator;
  if (base === 'Null') return (values === undefined) === (wanted[0] === 'true');
  if (values === undefined || values.length === 0) {
    // IAM's own rule: ForAllValues is true for a request without values.
    return ifExists || quantifier === 'ForAllValues' || operators[base]!.negated;
  }
  const { test, negated } = operators[base]!;
  const fits = (value: string) => negated !== wanted.some((each) => test(value, each));
  return quantifier === 'ForAllValues' || (negated && quantifier === undefined)
    ? values.every(fits)
    : values.some(fits);
}

function findOperator(name: string): { quantifier: string | undefined; base: string; ifExists: boolean } | undefined {
  const found = /^(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?$/.exec(name);
  const base = found?.[2] ?? '';
  if (!found || (base !== 'Null' && operators[base] === undefined)) return undefined;
  return { quantifier: found[1], base, ifExists: found[3] !== undefined };
}

function many<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

function like(value: string, pattern: string): boolean {
  return operators['StringLike']!.test(value, pattern);
}
