/** The IAM condition operators that the policies of nodes use. */

interface Operator {
  test(value: string, wanted: string): boolean;
  /** True for StringNotEquals and similar: the condition holds if no wanted value matches. */
  negated: boolean;
}

const equals = (value: string, wanted: string) => value === wanted;
const equalsIgnoringCase = (value: string, wanted: string) => value.toLowerCase() === wanted.toLowerCase();

const patterns = new Map<string, RegExp>();

/** Matches a pattern with `*` and `?`. */
function like(value: string, pattern: string): boolean {
  let compiled = patterns.get(pattern);
  if (!compiled) {
    const source = pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    compiled = new RegExp(`^${source}$`, 's');
    if (patterns.size > 10_000) patterns.clear();
    patterns.set(pattern, compiled);
  }
  return compiled.test(value);
}

/** Compares each of an ARN's six parts: `*` stops at a colon, except in the last part. */
function arnLike(value: string, pattern: string): boolean {
  const parts = (arn: string) => {
    const found = arn.split(':');
    return [...found.slice(0, 5), found.slice(5).join(':')];
  };
  const wanted = parts(pattern);
  return parts(value).every((part, index) => like(part, wanted[index] ?? ''));
}

const compare = (test: (a: number, b: number) => boolean) => (value: string, wanted: string) =>
  test(Number(value), Number(wanted));

const plain = (test: Operator['test']): Operator => ({ test, negated: false });
const negated = (test: Operator['test']): Operator => ({ test, negated: true });

export const operators: Readonly<Record<string, Operator | undefined>> = {
  StringEquals: plain(equals),
  StringNotEquals: negated(equals),
  StringEqualsIgnoreCase: plain(equalsIgnoringCase),
  StringNotEqualsIgnoreCase: negated(equalsIgnoringCase),
  StringLike: plain(like),
  StringNotLike: negated(like),
  ArnEquals: plain(arnLike),
  ArnLike: plain(arnLike),
  ArnNotEquals: negated(arnLike),
  ArnNotLike: negated(arnLike),
  Bool: plain(equalsIgnoringCase),
  NumericEquals: plain(compare((a, b) => a === b)),
  NumericLessThan: plain(compare((a, b) => a < b)),
  NumericLessThanEquals: plain(compare((a, b) => a <= b)),
  NumericGreaterThan: plain(compare((a, b) => a > b)),
  NumericGreaterThanEquals: plain(compare((a, b) => a >= b)),
};
