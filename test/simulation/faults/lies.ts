/**
 * Lies: for a while one source gives answers that are not true. Every answer of a source passes
 * here, so a new call is lied about without further code (forgeries.ts only knows better lies).
 *
 * The promise of the product is about one source alone, so at most one source lies at a time, with
 * a pause before the next. Silence may come from all of them (fault-injector.ts).
 */

import { Refused, Unavailable } from '../../../core/errors.ts';
import { documentedRefusals } from '../../../host/aws/documented-refusals.ts';
import { translate } from '../../../host/aws/fault.ts';
import type { SimulatedClock } from '../clock.ts';
import type { Call } from '../effects.ts';
import { openChance, type Chance } from './chance.ts';
import { awsServices, type Service } from './fault-injector.ts';
import { forge, half, nothing, type Made } from './forgeries.ts';

const kinds = ['stale', 'empty', 'half', 'shapeless', 'foreign', 'forged', 'refused', 'middlebox'] as const;
export type LieKind = (typeof kinds)[number];

/** One source that lies. */
export interface Lie {
  source: Service;
  kind: LieKind;
  /** The only verb with untrue answers; undefined means all verbs of the source. */
  verb?: string;
  /** The node that gets the lies; undefined means all nodes. */
  node: string | undefined;
  /** Between 0 and 1: chooses among the possible lies, the same one for each call. */
  draw: number;
  /** The code of a refusal. */
  code: string;
  /** With this period, the source changes between its lie and the truth. */
  flipMs: number | undefined;
  /** By uptime, and its beginning also by the wall clock. */
  since: number;
  until: number;
  at: number;
}

export interface Lies {
  /** Draws the other events that only these lives have. */
  chance: Chance;
  /** Begins a lie; undefined while another source lies, or did so shortly before. */
  begin(nodes: readonly string[]): Lie | undefined;
  /** Begins a forgery of the metadata service about one verb, told to one node; else as `begin`. */
  forge(forgery: Forgery): Lie | undefined;
  /** The lie that this call meets. */
  about(call: Call): Lie | undefined;
  /** Remembers a true answer, for stale ones. */
  remember(call: Call, result: unknown): void;
  /** The call as the lying source performs it. */
  twist(lie: Lie, call: Call, effect: () => unknown): () => unknown;
  /** Ends all lies. */
  clear(): void;
}

export interface Forgery {
  verb: string;
  draw: number;
  node: string;
  forMs: number;
}

/** The undisturbed call of the same name for another node; undefined without another node. */
export type AskForAnother = (call: Call) => (() => unknown) | undefined;

/** The share of all seeds with lies. */
const share = 0.5;

/** Gives another stream than those of the life, of its anomalies and of its knowledge. */
const salt = 0x11e5_11e5;

const sources: readonly Service[] = [
  'metadata',
  'metadata',
  'introspection',
  'machine',
  'ec2',
  'autoscaling',
  'ecs',
  'opsworks',
  'ssm',
];

/**
 * These sources alone know about their own records, so a lie of theirs that lasts for a patience
 * (60 s at least) is no lie: ECS says for how long an agent is disconnected, a registrar whether
 * the node is registered.
 */
const authorities: readonly Service[] = ['ecs', 'opsworks', 'ssm'];

/** They confirm the orders that the metadata service reports. */
const secondSources: readonly Service[] = ['autoscaling', 'ec2'];

/** A departure that began on one source's word is undone before the next source lies. */
const pauseMs = 180_000;

/** Statuses of proxies and firewalls, and a page instead of an answer. */
const statuses = [200, 301, 302, 403, 404, 407, 408, 451] as const;

const codes = [...documentedRefusals, 'AccessDenied', 'UnauthorizedOperation', 'OptInRequired', 'Blocked'];

/** An answer this old, or older, is stale. */
const staleMs = 60_000;

interface Past {
  at: number;
  result: unknown;
}

export function openLies(
  seed: number,
  { uptime, now: wall }: Pick<SimulatedClock, 'uptime' | 'now'>,
  askForAnother: AskForAnother,
): Lies | undefined {
  const chance = openChance(seed ^ salt);
  if (!chance.happens(share)) return undefined;
  const pasts = new Map<string, Past[]>();
  /** Questions to the metadata service whose last answer was no true one. */
  const believed = new Set<string>();
  let lie: Lie | undefined;
  let isOver = false;
  const isQuiet = () => !isOver && (lie === undefined || uptime() >= lie.until + pauseMs);
  const isDeceived = (node: string) => [...believed].some((key) => key.startsWith(`${node} `));
  const keyOf = ({ process, verb, args }: Call) => `${process.node} ${verb} ${args.join(' ')}`;
  return {
    chance,
    begin(nodes) {
      if (nodes.length === 0 || !isQuiet()) return undefined;
      const drawn = drawLie(chance, nodes, uptime(), wall());
      // A word that a silent metadata service has not taken back yet still counts as a lie.
      if (secondSources.includes(drawn.source) && nodes.some((id) => isDeceived(id))) return undefined;
      lie = drawn;
      return lie;
    },
    forge({ forMs, ...told }) {
      if (!isQuiet()) return undefined;
      const [since, at] = [uptime(), wall()];
      lie = {
        ...told,
        source: 'metadata',
        kind: 'forged',
        code: '',
        flipMs: undefined,
        since,
        until: since + forMs,
        at,
      };
      return lie;
    },
    about(call) {
      if (lie === undefined || lie.source !== call.service || !canLie(call)) return undefined;
      if (lie.verb !== undefined && lie.verb !== call.verb) return undefined;
      const now = uptime();
      if (now < lie.since || now >= lie.until || (lie.node ?? call.process.node) !== call.process.node)
        return undefined;
      if (isWrite(call) && !isRefusal(lie)) return undefined;
      return lie.flipMs !== undefined && Math.floor((now - lie.since) / lie.flipMs) % 2 === 1 ? undefined : lie;
    },
    remember(call, result) {
      believed.delete(keyOf(call));
      if (isWrite(call) || !canLie(call)) return;
      const known = pasts.get(keyOf(call)) ?? [];
      if (uptime() - (known.at(-1)?.at ?? -Infinity) < staleMs) return;
      pasts.set(keyOf(call), [...known.slice(-9), { at: uptime(), result: structuredClone(result) }]);
    },
    twist(told, call, effect) {
      if (told.source === 'metadata') believed.add(keyOf(call));
      switch (told.kind) {
        case 'stale': {
          const old = (pasts.get(keyOf(call)) ?? []).filter(({ at }) => uptime() - at >= staleMs);
          const past = old[Math.floor(told.draw * old.length)];
          return past === undefined ? effect : () => structuredClone(past.result);
        }
        case 'foreign':
          return isOwnOnly(call)
            ? async () =>
                say({ ...told, kind: call.verb === 'readMembership' ? 'shapeless' : 'empty' }, call, await effect())
            : (askForAnother(call) ?? effect);
        case 'refused':
          return refuse(told, call);
        case 'middlebox':
          return block(told, call);
        case 'empty':
        case 'half':
        case 'shapeless':
        case 'forged':
          return async () => say(told, call, await effect());
      }
    },
    clear() {
      isOver = true;
      if (lie !== undefined) lie.until = Math.min(lie.until, uptime());
    },
  };
}

function drawLie(chance: Chance, nodes: readonly string[], since: number, at: number): Lie {
  const source = chance.pick(sources);
  const longest = authorities.includes(source) ? [] : [150_000, 600_000];
  const forMs = chance.pick([1_500, 5_000, 20_000, 45_000, ...longest]);
  return {
    source,
    kind: chance.pick([...kinds, 'forged', 'forged', 'forged']),
    node: chance.happens(0.7) ? chance.pick(nodes) : undefined,
    draw: chance.next(),
    code: chance.pick(codes),
    flipMs: chance.happens(0.3) ? chance.pick([1_000, 3_000, 8_000]) : undefined,
    since,
    until: since + forMs,
    at,
  };
}

/** File systems hang, and Docker answers in part. The node's own files tell the truth. */
const machineVerbs = new Set(['measureDisks', 'ping', 'readStore', 'readImages', 'readContainers', 'readUnitState']);

function canLie({ service, verb }: Call): boolean {
  return service === 'machine' ? machineVerbs.has(verb) : sources.includes(service);
}

/**
 * host/ drops the records of other instances from these answers, and takes a membership of others
 * only for no answer.
 */
const ownOnly = new Set(['findRegistration', 'readRegistration', 'readContainerInstance', 'readMembership']);

function isOwnOnly({ verb }: Call): boolean {
  return ownOnly.has(verb);
}

/** All other verbs change something. */
const isRead = /^(read|find|is|owns|suggest|measure|ping)/;

function isWrite({ verb }: Call): boolean {
  return !isRead.test(verb);
}

/** The only lies about a call that changes something. */
function isRefusal({ kind }: Lie): boolean {
  return kind === 'refused' || kind === 'middlebox';
}

function say({ kind, draw, at }: Lie, { service, verb }: Call, truth: unknown): unknown {
  const made: Made = { verb, service, truth, draw, at };
  if (kind === 'empty') return nothing(made);
  if (kind === 'half') return half(made);
  if (kind === 'forged') return forge(made);
  // host/ checks the shape of each answer, and takes a wrong one for none.
  throw new Unavailable(`${verb}: the answer is of another shape`);
}

/** AWS refuses, with a code from its models, and the product's own translation reads it. */
function refuse({ code }: Lie, { service, verb }: Call): () => never {
  return () => {
    if (!awsServices.includes(service)) throw new Unavailable(`${verb}: HTTP 400`);
    throw translate(sdkError(code, 400), verb, '*');
  };
}

/** A proxy, a portal or a firewall answers in the place of the source. */
function block({ draw }: Lie, { service, verb }: Call): () => never {
  const status = statuses[Math.floor(draw * statuses.length)]!;
  return () => {
    if (!awsServices.includes(service)) throw new Unavailable(`${verb}: HTTP ${status}`);
    const error = translate(sdkError(status === 200 ? 'SyntaxError' : 'UnknownError', status), verb, '*');
    if (error instanceof Refused) throw new TypeError(`a middlebox (${status}) counts as AWS's own refusal`);
    throw error;
  };
}

function sdkError(name: string, httpStatusCode: number): Error {
  return Object.assign(new Error('<html>blocked</html>'), { name, $metadata: { httpStatusCode } });
}
