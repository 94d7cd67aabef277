/** Hostile words, names and shapes, which an attacker or a broken program may send. */

import fc from 'fast-check';

/** Names that mean something to JavaScript. */
export const nastyKey = fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '');

export const nastyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '\0',
    '\u001b[2J',
    '../../etc/passwd',
    '\r\nX-Forged: 1',
    '\ud800',
    '🦀',
    '<html>',
    '{"a":',
    'NaN',
    '-0',
  ),
);

/** Any JSON value, with nasty names in it. */
export const json = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, -1, 1e308, 2 ** 53, ''),
    nastyText,
    fc.double({ noNaN: true }),
    fc.array(tie('any'), { maxLength: 4 }),
    fc
      .array(fc.tuple(fc.oneof(nastyKey, fc.string({ maxLength: 8 })), tie('any')), { maxLength: 4 })
      .map((pairs) => Object.fromEntries(pairs)),
  ),
})).any;

/** Nested so deep that a function which calls itself runs out of stack. */
export const bottomless = fc.constantFrom('[', '{"a":').map((open) => {
  const depth = 30_000;
  return open.repeat(depth) + '1' + (open === '[' ? ']' : '}').repeat(depth);
});

/**
 * A document with some of its fields changed into anything, or cut off, or something else
 * altogether.
 */
export function spoiltJson(fields: Readonly<Record<string, unknown>>): fc.Arbitrary<string> {
  const keys = Object.keys(fields);
  const change = fc.tuple(fc.constantFrom(...keys), fc.oneof(json, fc.constant(undefined)));
  const changed = fc
    .array(change, { maxLength: 3 })
    .map((changes) => JSON.stringify({ ...fields, ...Object.fromEntries(changes) }));
  const deep = fc
    .tuple(fc.constantFrom(...keys), bottomless)
    .map(([key, text]) => `{"${key}":${text},${JSON.stringify(fields).slice(1)}`);
  const deepLast = fc
    .tuple(fc.constantFrom(...keys), bottomless)
    .map(([key, text]) => `${JSON.stringify(fields).slice(0, -1)},"${key}":${text}}`);
  const torn = fc.tuple(changed, fc.nat()).map(([text, at]) => text.slice(0, at % (text.length + 1)));
  return fc.oneof(
    { weight: 6, arbitrary: changed },
    { weight: 2, arbitrary: torn },
    { weight: 1, arbitrary: deepLast },
    { weight: 1, arbitrary: deep },
    { weight: 1, arbitrary: bottomless },
    { weight: 1, arbitrary: json.map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: nastyText },
  );
}

/** Bytes as they are, and texts. */
export const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  nastyText.map((text) => new TextEncoder().encode(text)),
);
