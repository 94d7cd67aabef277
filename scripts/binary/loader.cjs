// The script that the executable runs first. It loads each part of the program when the program
// first needs it.
//
// The parts are an asset of the executable. One script with all of them would put a megabyte on the
// heap of an agent that needs an eighth of it.
'use strict';

const { getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

/** The position of each part: offset, length. The build writes it. */
const index = INDEX;
const code = getRawAsset('code');

const builtin = require;
const loaded = Object.create(null);

function load(id) {
  const place = index[id];
  if (place === undefined) return builtin(id);
  if (loaded[id] !== undefined) return loaded[id].exports;
  const script = new Script(Buffer.from(code, ...place).latin1Slice(), { filename: id });
  const module = (loaded[id] = { exports: {} });
  script.runInThisContext()(module.exports, load, module);
  return module.exports;
}

load('./main.js');
