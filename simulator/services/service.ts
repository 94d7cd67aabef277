/** A simulated service: a protocol, its wording of refusals, and a table of operations. */

import type { Refusal } from '../refusal.ts';
import type { Complaints, Fields, Input } from '../wire/shapes.ts';
import type { Instance, World } from '../world/state.ts';

export interface Service {
  /** The service's name in fault rules and in the call log. */
  readonly id: string;
  /** The service in a signature's scope. */
  readonly signingName: string;
  /** The prefix before the colon in IAM's actions. */
  readonly iam: string;
  readonly protocol: 'ec2' | 'query' | 'json' | 's3';
  /** The API version of a query protocol, or the target prefix of a JSON protocol. */
  readonly version: string;
  readonly namespace?: string;
  readonly complain: Complaints;
  readonly throttle: () => Refusal;
  readonly deny: (message: string) => Refusal;
  readonly operations: Readonly<Record<string, Operation>>;
}

export interface Operation {
  readonly input: Fields;
  /** The questions to IAM; by default the action of the same name on `*`. */
  readonly access?: (input: never, call: CallContext) => Access[];
  readonly run: (input: never, call: CallContext) => object | void;
}

/** One question to IAM. */
export interface Access {
  action?: string;
  resource?: string;
  context?: Record<string, string | string[]>;
}

export interface CallContext {
  readonly world: World;
  /** Undefined for an operator. */
  readonly caller: Instance | undefined;
  readonly requestId: string;
  /** The URL of the AWS endpoint. */
  readonly endpoint: string;
  readonly keys: IdentityKeys;
}

/** Signs identity documents. */
export interface IdentityKeys {
  sign(document: string): string;
  verify(document: string, signature: string): boolean;
}

/** Ties together the types of an operation's input, its handler and its questions to IAM. */
export function operation<F extends Fields>(
  input: F,
  run: (input: Input<F>, call: CallContext) => object | void,
  access?: (input: Input<F>, call: CallContext) => Access[],
): Operation {
  return { input, run, ...(access && { access }) };
}
