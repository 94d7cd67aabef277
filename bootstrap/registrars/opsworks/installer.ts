/**
 * Downloads and runs the installer of OpsWorks, which registers this instance and starts the
 * OpsWorks agent.
 */

import type { Config } from '../../../config/config.ts';
import { ConfigError, Refused, Unavailable, Unfit, messageOf } from '../../../core/errors.ts';
import type { Exit, Host, Provisioning, Registration } from '../../../core/host.ts';
import { jitter, toItsEnd } from '../../../core/retry.ts';
import type { BootstrapContext } from '../../step.ts';
import { callWithRetry } from '../../poll.ts';
import { refusalLastsMs } from './unless-moved.ts';
import { opsworksTargetOf } from './target.ts';

/**
 * After this many tries with names that OpsWorks suggests, the node uses a name that no other node
 * can have.
 */
const maxSuggested = 3;
/** If names made from the instance id are taken as well, the cause is no coincidence. */
const maxNames = 5;

/**
 * A failed installer runs again, at least three times, and until its failure has lasted as long as
 * a refusal by OpsWorks must last.
 */
const leastTries = 3;
const failurePauseMs = 12_000;

/**
 * The installer has already retried for some seconds. OpsWorks accepts about one call a second from
 * all nodes together.
 */
const throttledPauseMs = 20_000;
const maxThrottledPauseMs = 60_000;

/** The installer installs packages and a Ruby, which takes minutes on a small instance. */
const installerMs = 300_000;

/**
 * Time before the bootstrap's own deadline to kill an installer that ignores SIGTERM (2 s) and to
 * remove its folder.
 */
const cleanUpMs = 10_000;

/** The archive has tens of megabytes and may come through a busy NAT gateway. */
const downloadMs = 120_000;

/** The download site may recover, or a person may fix a proxy. */
const downloadPauseMs = 5_000;
const maxDownloadPauseMs = 60_000;

const folderInArchive = 'opsworks-agent-installer';

/** The environment of a root login, as the AWS CLI gave the installer through sudo. */
const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
};

/** The settings for `boot-registration`, one line for each key, sorted. */
export function renderPreconfig(
  parameters: Readonly<Record<string, string>>,
  stackId: string,
  hostname: string,
): string {
  const settings: Record<string, unknown> = { ...parameters, stack_id: stackId, hostname, import: true };
  return Object.keys(settings)
    .toSorted()
    .map((key) => `:${key}: ${JSON.stringify(settings[key])}\n`)
    .join('');
}

/** Counts from earlier runs of the installer. */
interface Tries {
  names: number;
  failures: number;
  /** Uptime of the first failure. */
  failingSince: number | undefined;
  throttledPauseMs: number;
}

/**
 * Registers the node. If the host name is taken, another one goes into the context. Returns when
 * the installer reports success, with the record if the node has already seen it. Throws `Unfit`
 * when the installer fails again and again.
 */
export async function install(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<Registration | undefined> {
  const target = opsworksTargetOf(context);
  const tries: Tries = { names: 0, failures: 0, failingSince: undefined, throttledPauseMs };
  for (let isFirst = true; ; isFirst = false) {
    // The answer to an earlier run's RegisterInstance may have been lost. Registering again would
    // leave a second record behind.
    const own = isFirst ? undefined : await findOwn(host, context, target.stackId, signal);
    if (own !== undefined) return own;
    const { folder, provisioning } = await download(host, context, signal);
    // Saved before the installer runs: after a crash, the next run must look for a record before it
    // registers again.
    context.registered = { registrar: 'opsworks', ...target };
    await context.save();
    const exit = await runInstaller(host, folder, provisioning, context, signal);
    if (exit.code === 0) return undefined;
    const verdict = judgeTail(exit.tail);
    host.log.warn('installer failed', { code: exit.code, verdict, tail: exit.tail.slice(-500) });
    if (verdict === 'already registered') return undefined;
    if (verdict === 'hostname taken') await chooseAnotherHostname(host, config, context, exit, ++tries.names, signal);
    await host.clock.sleep(pauseAfter(verdict, exit, tries, host.clock.uptime()), signal);
  }
}

function findOwn(
  host: Host,
  context: BootstrapContext,
  stackId: string,
  signal: AbortSignal,
): Promise<Registration | undefined> {
  return callWithRetry(host, context, signal, (callSignal) => host.cloud.findRegistration(stackId, callSignal));
}

/** The pause before the next try. Throws when there is no further try. */
function pauseAfter(verdict: InstallerOutcome, exit: Exit, tries: Tries, now: number): number {
  if (verdict === 'throttled') {
    // Throttling is retried for as long as the bootstrap has time. A fleet that boots together must
    // not be terminated for it.
    const pauseMs = tries.throttledPauseMs;
    tries.throttledPauseMs = Math.min(pauseMs * 2, maxThrottledPauseMs);
    return jitter(pauseMs);
  }
  // Spreads nodes that received the same name.
  if (verdict === 'hostname taken') return 2_000 + Math.random() * 3_000;
  tries.failures += 1;
  tries.failingSince ??= now;
  if (tries.failures >= leastTries && now - tries.failingSince >= refusalLastsMs) throw installerFailed(exit);
  return failurePauseMs * (0.8 + 0.4 * Math.random());
}

type InstallerOutcome = 'hostname taken' | 'already registered' | 'throttled' | 'failed';

/** Classifies the end of the installer's output, which contains the answer of RegisterInstance. */
export function judgeTail(tail: string): InstallerOutcome {
  const lines = tail.split('\n');
  if (lines.some((line) => /host ?name/i.test(line) && /taken|already|in use|exist|unique|different/i.test(line))) {
    return 'hostname taken';
  }
  if (lines.some((line) => /already (been )?(registered|assigned|part of)/i.test(line))) return 'already registered';
  return lines.some((line) => /throttl|rate exceeded|request ?limit ?exceeded|too many requests/i.test(line))
    ? 'throttled'
    : 'failed';
}

/**
 * Nodes that boot together all receive the same suggestion, and only one of them gets the name. The
 * other nodes must survive it.
 */
async function chooseAnotherHostname(
  host: Host,
  config: Config,
  context: BootstrapContext,
  exit: Exit,
  tries: number,
  signal: AbortSignal,
): Promise<void> {
  const { layerId } = opsworksTargetOf(context);
  if (config.hostname !== '') {
    const problem = `"${context.hostname}" is taken in the stack; put {shortId} into the template, or remove the record that has the name`;
    throw new ConfigError([{ path: 'hostname', problem }]);
  }
  if (tries >= maxNames) throw installerFailed(exit);
  const taken = context.hostname;
  const suggested = await callWithRetry(host, context, signal, (callSignal) =>
    host.cloud.suggestHostname(layerId, callSignal),
  );
  context.hostname = tries < maxSuggested ? suggested : renderOwnName(suggested, host.identity.instanceId);
  host.log.warn('host name taken', { taken, next: context.hostname });
}

/** `web-7` on i-0123456789abcdef0 becomes `web-9abcdef0`, cut to the length of a host name. */
function renderOwnName(suggested: string, instanceId: string): string {
  const own = `-${instanceId.slice(-8)}`;
  return suggested.replace(/-?\d+$/, '').slice(0, 63 - own.length) + own;
}

/**
 * Downloads and unpacks the installer. An error page of a proxy, half an archive or a 403 says
 * nothing about this node. Each is retried, with a fresh address, until the bootstrap's time is up.
 */
async function download(
  host: Host,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<{ folder: string; provisioning: Provisioning }> {
  const { stackId } = opsworksTargetOf(context);
  for (let pauseMs = downloadPauseMs; ; pauseMs = Math.min(pauseMs * 2, maxDownloadPauseMs)) {
    // Outside of `try`: a refusal by OpsWorks here is not the download site's fault.
    const provisioning = await callWithRetry(host, context, signal, (callSignal) =>
      host.cloud.readProvisioning(stackId, callSignal),
    );
    try {
      return { folder: await unpack(host, provisioning, context, signal), provisioning };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      host.log.warn('installer not downloaded', { error: messageOf(error), pauseMs });
      // Gives the bootstrap's deadline this reason.
      if (context.leftMs() <= pauseMs)
        throw new Unavailable(`the installer cannot be downloaded: ${messageOf(error)}`, { cause: error });
      await host.clock.sleep(jitter(pauseMs), signal);
    }
  }
}

async function unpack(
  host: Host,
  { installerUrl }: Provisioning,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<string> {
  const folder = await callWithRetry(
    host,
    context,
    signal,
    (callSignal) => host.machine.unpack(installerUrl, callSignal),
    downloadMs,
  );
  if ((await host.machine.list(`${folder}/${folderInArchive}`)).includes('boot-registration')) return folder;
  await host.machine.remove(folder);
  const where = installerUrl.replace(/\?.*$/s, '');
  throw new Refused(`the installer at ${where} holds no ${folderInArchive}/boot-registration`);
}

async function runInstaller(
  host: Host,
  folder: string,
  { parameters }: Provisioning,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<Exit> {
  const { stackId } = opsworksTargetOf(context);
  try {
    const home = `${folder}/${folderInArchive}`;
    const preconfig = renderPreconfig(parameters, stackId, context.hostname ?? host.identity.hostname);
    await host.machine.writeText(`${home}/preconfig`, preconfig, 0o660);
    const bucket = parameters['assets_download_bucket'];
    const command = {
      file: `${home}/boot-registration`,
      args: [],
      environment: { ...environment, ...(bucket === undefined ? {} : { OPSWORKS_ASSETS_DOWNLOAD_BUCKET: bucket }) },
      // The installer fetches the agent from S3, and calls OpsWorks itself.
      downloads: true as const,
      folder,
      umask: 0o007,
    };
    const withinMs = Math.min(installerMs, context.leftMs() - cleanUpMs);
    return await toItsEnd(withinMs, (callSignal) => host.machine.run(command, callSignal), host.clock, signal);
  } finally {
    await host.machine.remove(folder);
  }
}

function installerFailed({ code, tail }: Exit): Unfit {
  const last = tail.trimEnd().split('\n').slice(-3).join(' | ');
  const why = `the OpsWorks installer ended with exit code ${code}: ${last || 'it said nothing'}`;
  return new Unfit('opsworks-registration', why);
}
