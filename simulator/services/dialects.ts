/** The wording of refusals, for each family of services. */

import { Refusal } from '../refusal.ts';
import type { Complaints } from '../wire/shapes.ts';

/**
 * The wording of most services: "1 validation error detected: …". `code` is ValidationError or
 * ValidationException.
 */
export function validationComplaints(code: string): Complaints {
  const detected = (path: string, value: unknown, constraint: string) => {
    const shown = typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
    const name = path.charAt(0).toLowerCase() + path.slice(1);
    return `1 validation error detected: Value '${shown}' at '${name}' failed to satisfy constraint: ${constraint}`;
  };
  return {
    missing: (path) => new Refusal(code, detected(path, null, 'Member must not be null')),
    invalid: (path, value, constraint) => new Refusal(code, detected(path, value, constraint)),
    malformed: (path, value, wanted) =>
      code === 'ValidationException'
        ? unreadable(path, value, wanted)
        : new Refusal('MalformedInput', wordsFor(path, value, wanted)),
  };
}

/** ECS names the parameter without its parents. */
export const ecsComplaints: Complaints = {
  missing: (path) => new Refusal('InvalidParameterException', `${sentence(path)} cannot be empty.`),
  invalid: (path, value, constraint) =>
    new Refusal('InvalidParameterException', `${sentence(path)} ${JSON.stringify(value)} is invalid: ${constraint}.`),
  malformed: unreadable,
};

export const ec2Complaints: Complaints = {
  missing: (path) => new Refusal('MissingParameter', `The request must contain the parameter ${path}`),
  invalid: (path, value, constraint) =>
    new Refusal('InvalidParameterValue', `Value (${String(value)}) for parameter ${path} is invalid. ${constraint}`),
  malformed: (path, value, wanted) =>
    new Refusal(
      'InvalidParameterValue',
      `Value (${String(value)}) for parameter ${path} is invalid. Expected: ${wanted}`,
    ),
};

export const cloudwatchComplaints: Complaints = {
  missing: (path) => new Refusal('MissingParameter', `The parameter ${path} is required.`),
  invalid: (path, value, constraint) =>
    new Refusal('InvalidParameterValue', `The value ${String(value)} for parameter ${path} is invalid. ${constraint}`),
  malformed: (path, value, wanted) => new Refusal('MalformedInput', wordsFor(path, value, wanted)),
};

/** The answer of a JSON service to a value of the wrong type. */
function unreadable(path: string, value: unknown, wanted: string): Refusal {
  return new Refusal('SerializationException', wordsFor(path, value, wanted));
}

function wordsFor(path: string, value: unknown, wanted: string): string {
  const kind = Array.isArray(value)
    ? 'LIST'
    : value !== null && typeof value === 'object'
      ? 'STRUCTURE'
      : (typeof value).toUpperCase();
  return `${kind}_VALUE at ${path} can not be converted to ${wanted}`;
}

/** Turns containerInstances into "Container instances". */
function sentence(path: string): string {
  const words = path.replace(/\.\d+/g, '').replaceAll(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const throttled = (code: string, status: number) => () => new Refusal(code, 'Rate exceeded', status);

export const denied = (code: string, status: number) => (message: string) => new Refusal(code, message, status);
