/** The Lambda functions that look after a fleet. Only this file and main.ts use `process`. */

import { fleetCommandNamed } from './commands/fleet/table-fleet.ts';
import { openHandler, type Handler } from './commands/fleet/lambda.ts';

declare const __ECS_NODE_VERSION__: string | undefined;

const version = typeof __ECS_NODE_VERSION__ === 'string' ? __ECS_NODE_VERSION__ : '0.0.0-source';
const surroundings = { environment: process.env, output: process.stdout, version };

export const sweep: Handler = openHandler(fleetCommandNamed('sweep'), surroundings);
export const serviceSize: Handler = openHandler(fleetCommandNamed('service-size'), surroundings);
