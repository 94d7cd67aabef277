// Renders the parts as one CommonJS file, for Lambda and for plain Node in the tests, which accept
// nothing else.
import { ENTRY } from './bundle.ts';

/**
 * `module.exports` becomes the exports of the first part. V8 compiles a part only when the program
 * calls it.
 */
export function renderOneFile(parts: ReadonlyMap<string, string>): string {
  const entries = [...parts].toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `"use strict";
const builtin = require, loaded = {}, parts = {
${entries.map(([name, text]) => `${JSON.stringify(name)}: ${text}`).join(',\n')}
};
function load(id) {
  if (!(id in parts)) return builtin(id);
  if (loaded[id]) return loaded[id].exports;
  const module = loaded[id] = { exports: {} };
  parts[id](module.exports, load, module);
  return module.exports;
}
module.exports = load(${JSON.stringify(ENTRY)});
`;
}
