// Sends one short request a second and does nothing else: the least that any agent on this Node.js
// needs. `node idle-poller.cjs PORT`
'use strict';

const { connect } = require('node:net');
const { setFlagsFromString } = require('node:v8');

// As the agent does (host/small-footprint.ts).
for (const flag of ['--no-opt', '--no-maglev', '--no-sparkplug']) setFlagsFromString(flag);

const socket = connect(Number(process.argv[2]), '127.0.0.1');
socket.on('data', () => {});
setInterval(() => socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'), 1000);
