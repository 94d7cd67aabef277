/**
 * Opens AWS for this instance in this process. The first call of a verb loads the client of its
 * service.
 */

import { Unavailable } from '../../core/errors.ts';
import type { Cloud } from '../../core/host.ts';
import type { Identity } from '../../core/identity.ts';
import type { Log } from '../../core/log.ts';
import type { Environment } from '../environment.ts';
import { mustBeSafeEndpoints } from '../http/endpoint-safety.ts';
import { openNetwork } from '../network/network.ts';
import type { Credentials } from './session/credentials.ts';
import { kinds } from './answers.ts';
import { openAwsCall } from './fault.ts';
import { clientSettings, secondTry, type Session } from './session/session.ts';
import { cloudOf, serviceOf, type Service, type Verb } from './child/verbs.ts';

/** One service: its verbs, and a function that closes its connections. */
interface Opened {
  destroy(): void;
}

/** OpsWorks is called in the region of the stack, which may differ from that of the instance. */
export interface CloudOptions {
  opsworksRegion?: string | undefined;
}

/** Throws a ConfigError when the environment names an endpoint that cannot be trusted. */
export function openCloud(identity: Identity, environment: Environment, log: Log, options: CloudOptions = {}): Cloud {
  mustBeSafeEndpoints(environment);
  const network = openNetwork(environment);
  let credentials: Promise<() => Promise<Credentials>> | undefined;
  const readCredentials = async (): Promise<Credentials> => {
    credentials ??= import('./session/credentials.ts').then(({ openCredentials }) =>
      openCredentials(environment, Date.now),
    );
    return await (
      await credentials
    )();
  };
  const session: Session = {
    identity,
    callAws: openAwsCall(identity.role, log),
    settings: (service, region = identity.region) => ({
      ...clientSettings({ network, credentials: readCredentials, service, region }),
      retryStrategy: secondTry,
    }),
  };
  const opened = new Map<Service, Promise<Opened>>();
  const open = async (service: Service): Promise<Opened> => {
    const loading = opened.get(service) ?? load[service](session, options);
    opened.set(service, loading);
    return await loading;
  };
  return cloudOf(
    (verb) =>
      async (...args) => {
        const service = (await open(serviceOf[verb])) as unknown as Record<string, (...given: unknown[]) => unknown>;
        return await checkAnswer(verb, log, async () => await service[verb]!(...args));
      },
    async () => {
      for (const service of opened.values()) (await service).destroy();
      opened.clear();
    },
  );
}

/**
 * An answer of the wrong shape says nothing about the node. A bug of this program looks the same,
 * so the stack is logged.
 */
async function checkAnswer(verb: Verb, log: Log, work: () => Promise<unknown>): Promise<unknown> {
  try {
    const value = await work();
    if (kinds[verb]?.(value) ?? true) return value;
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    log.error('answer makes no sense', { verb, error: error.stack });
  }
  throw new Unavailable(`${verb}: the answer of AWS makes no sense`);
}

type Load = (session: Session, options: CloudOptions) => Promise<Opened>;

// Each service has a file that imports its client by name. The bundler can drop nothing from a
// client that is imported as a whole.
const load: Record<Service, Load> = {
  instance: async (session) => (await import('./instance.ts')).openInstance(session),
  group: async (session) => (await import('./group.ts')).openGroup(session),
  cluster: async (session) => (await import('./ecs/cluster.ts')).openCluster(session),
  balancers: async (session) => (await import('./balancers.ts')).openBalancers(session),
  opsworks: async (session, { opsworksRegion }) =>
    (await import('./opsworks/opsworks.ts')).openOpsWorks(session, opsworksRegion ?? session.identity.region),
  systemsManager: async (session) => (await import('./systems-manager.ts')).openSystemsManager(session),
  metrics: async (session) => (await import('./metrics.ts')).openMetrics(session),
  events: async (session) => (await import('./events.ts')).openEvents(session),
  configuration: async (session) => (await import('./documents/documents.ts')).openConfiguration(session),
};
