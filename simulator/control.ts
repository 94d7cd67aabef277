/**
 * Controls the simulator over HTTP, for tests in another process: every verb, the faults, the
 * settings, the calls.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CallLog } from './calls.ts';
import { raise } from './command/events.ts';
import { eventNames, parseEvent } from './command/words.ts';
import type { FaultRule, Faults, RateLimit } from './faults.ts';
import type { SettingsPatch } from './settings.ts';
import type { Verbs } from './verbs.ts';
import type { World } from './world/state.ts';

export interface Controlled {
  world: World;
  verbs: Verbs;
  faults: Faults;
  calls: CallLog;
  environmentFor(instanceId: string): Record<string, string>;
}

const help = `GET    /_simulator/state
GET    /_simulator/calls?service=&operation=&instanceId=
DELETE /_simulator/calls
GET    /_simulator/metrics
GET    /_simulator/environment/INSTANCE
GET    /_simulator/verbs          each verb with its arguments, and each event of --at
POST   /_simulator/verbs/NAME     JSON list of arguments; ["i-…","demo"] for startEcsAgent
POST   /_simulator/events/EVENT   an event of --at, such as scale-in, spot:stop or spot@2
POST   /_simulator/faults         a rule {"service":"ecs","times":3,"effect":{"kind":"throttle"}}
POST   /_simulator/limits         {"service":"opsworks","burst":2,"perSecond":2}
DELETE /_simulator/faults
POST   /_simulator/settings       {"opsworks":{"installer":"failing"}}
`;

export async function answerControl(
  controlled: Controlled,
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://simulator');
  const path = url.pathname.replace('/_simulator/', '');
  try {
    const answer = await handle(controlled, `${request.method} ${path}`, url.searchParams, body.toString());
    if (answer === undefined) return void response.writeHead(404, { 'content-type': 'text/plain' }).end(help);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer, undefined, 1) + '\n');
  } catch (error) {
    response.writeHead(400, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }) + '\n');
  }
}

async function handle(controlled: Controlled, what: string, query: URLSearchParams, body: string): Promise<unknown> {
  const { world, verbs, faults, calls, environmentFor } = controlled;
  const verb = /^POST verbs\/(\w+)$/.exec(what)?.[1];
  if (verb !== undefined) return { result: (await callVerb(verbs, verb, body)) ?? null };
  const event = /^POST events\/(.+)$/.exec(decodeURIComponent(what))?.[1];
  if (event !== undefined) return (await raise(controlled, parseEvent('0', event), firstCluster(world))) ?? {};
  const instance = /^GET environment\/(i-\w+)$/.exec(what)?.[1];
  if (instance !== undefined) return environmentFor(instance);
  switch (what) {
    case 'GET verbs':
      return { verbs: listVerbs(verbs), events: eventNames };
    case 'GET state':
      return renderState(world);
    case 'GET calls':
      return calls.find(Object.fromEntries(query));
    case 'DELETE calls':
      return calls.clear() ?? {};
    case 'GET metrics':
      return world.metrics;
    case 'POST faults':
      faults.add(JSON.parse(body) as FaultRule);
      return {};
    case 'POST limits':
      faults.limit(JSON.parse(body) as RateLimit);
      return {};
    case 'DELETE faults':
      return faults.clear() ?? {};
    case 'POST settings':
      return applySettings(world, JSON.parse(body) as SettingsPatch);
    default:
      return undefined;
  }
}

/** `noticeSpot` → `id, action = 'terminate', inMs = spotNoticeMs`, as its source says. */
function listVerbs(verbs: Verbs): Record<string, string> {
  const entries = Object.entries(verbs).map(([name, verb]) => {
    const [, inBrackets = ''] = /\(([^]*?)\)\s*(?:=>|\{)/.exec(String(verb)) ?? [];
    return [name, inBrackets.replaceAll(/\s+/g, ' ').trim()] as const;
  });
  return Object.fromEntries(entries.toSorted(([a], [b]) => a.localeCompare(b)));
}

const firstCluster = ({ clusters }: World) => [...clusters.keys()][0] ?? 'demo';

function argumentsIn(body: string): unknown[] {
  const args: unknown = body === '' ? [] : JSON.parse(body);
  if (!Array.isArray(args)) throw new Error('the body must be a JSON list of arguments');
  return args as unknown[];
}

async function callVerb(verbs: Verbs, name: string, body: string): Promise<unknown> {
  const known = verbs as unknown as Record<string, ((...args: unknown[]) => unknown) | undefined>;
  const verb = Object.hasOwn(verbs, name) ? known[name] : undefined;
  if (!verb) {
    const signatures = Object.entries(listVerbs(verbs)).map(([each, parameters]) => `${each}(${parameters})`);
    throw new Error(`no verb ${name}; there are ${signatures.join(', ')}`);
  }
  const result = await verb(...argumentsIn(body));
  const ids = Array.isArray(result) ? result : [result];
  // The answer names an instance by its id only; `/state` holds the rest.
  const plain = ids.map((each: unknown) =>
    typeof each === 'object' && each !== null && 'id' in each ? each.id : each,
  );
  return Array.isArray(result) ? plain : plain[0];
}

function applySettings(world: World, patch: SettingsPatch): object {
  for (const [area, values] of Object.entries(patch)) {
    const settings = (world.settings as unknown as Record<string, object | undefined>)[area];
    if (!settings) throw new Error(`no settings ${area}; there are ${Object.keys(world.settings).join(', ')}`);
    for (const name of Object.keys(values)) {
      if (!(name in settings))
        throw new Error(`no setting ${area}.${name}; there are ${Object.keys(settings).join(', ')}`);
    }
    Object.assign(settings, values);
  }
  return world.settings;
}

export function renderState(world: World): object {
  return {
    instances: [...world.instances.values()].map(({ tags, policy: _policy, ...instance }) => ({
      ...instance,
      tags: Object.fromEntries(tags),
    })),
    groups: [...world.groups.values()].map(({ name, min, max, desired, hooks, members }) => ({
      name,
      min,
      max,
      desired,
      hooks: [...hooks.values()],
      members: [...members.values()].map(({ instanceId, state, healthy, actions }) => ({
        instanceId,
        state,
        healthy,
        waitingFor: [...actions.values()].filter(({ result }) => !result).map(({ hook }) => hook.name),
      })),
    })),
    clusters: [...world.clusters.values()].map(({ name, containerInstances, tasks, services }) => ({
      name,
      containerInstances: [...containerInstances.values()].map(({ arn, instanceId, status, agentConnected }) => ({
        arn,
        instanceId,
        status,
        agentConnected,
      })),
      services: [...services.values()].map(({ name: service, desired }) => ({ name: service, desired })),
      tasks: [...tasks.values()].map(({ arn, group, lastStatus, desiredStatus, containerInstance }) => ({
        arn,
        group,
        lastStatus,
        desiredStatus,
        instanceId: containerInstance.instanceId,
      })),
    })),
    registrations: [...world.registrations.values()],
    managed: [...world.managed.values()],
  };
}
