// Runs the program from a folder of parts, in plain Node: `node FOLDER/run-parts.cjs …`, with a
// copy of this file in the folder.
//
// With ECS_NODE_RECORD=yes it writes at its end V8's code cache of each loaded part, with the
// functions that have run so far. It first loads an earlier cache, so that runs add to each other.
'use strict';

const { readFileSync, renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { setFlagsFromString } = require('node:v8');
const { Script } = require('node:vm');

const builtin = require;
const loaded = Object.create(null);
const scripts = new Map();

function read(name) {
  try {
    return readFileSync(join(__dirname, name));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function load(id) {
  if (!id.startsWith('./')) return builtin(id);
  if (loaded[id] !== undefined) return loaded[id].exports;
  const cachedData = read(`${id}.cache`);
  const script = new Script(read(id).latin1Slice(), { filename: id, ...(cachedData && { cachedData }) });
  scripts.set(id, script);
  const module = (loaded[id] = { exports: {} });
  script.runInThisContext()(module.exports, load, module);
  return module.exports;
}

if (process.env['ECS_NODE_RECORD'] === 'yes') {
  process.on('exit', () => {
    // V8 refuses a cache that was made under other flags than those at the start. The agent changes
    // these flags (host/small-footprint.ts).
    for (const flag of ['--opt', '--maglev', '--sparkplug', '--no-expose-gc']) setFlagsFromString(flag);
    for (const [id, script] of scripts) {
      // Renames the file, because a child may be reading the old one.
      const fresh = join(__dirname, `${id}.${process.pid}`);
      writeFileSync(fresh, script.createCachedData());
      renameSync(fresh, join(__dirname, `${id}.cache`));
    }
  });
}

load('./main.js');
