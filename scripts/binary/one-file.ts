// The parts as one CommonJS file, for those who take nothing else: Lambda, and plain Node in the
// tests.
import { ENTRY } from './bundle.ts';

/**
 * `module.exports` becomes what the first part exports. V8 compiles a part only when it is called.
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
