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

/** The node takes so many suggestions of OpsWorks, then a name that no other node can have. */
const maxSuggested = 3;
/** A name of the node's own that is taken as well is no accident. */
const maxNames = 5;

/**
 * An installer that fails is run again: as often, and for as long as OpsWorks' own refusals must
 * last.
 */
const leastTries = 3;
const failurePauseMs = 12_000;

/**
 * The installer has tried for some seconds itself; OpsWorks takes about one call per second from
 * all nodes together.
 */
const throttledPauseMs = 20_000;
const maxThrottledPauseMs = 60_000;

/** It installs packages and a Ruby: minutes on a small instance. */
const installerMs = 300_000;

/**
 * Time to kill an installer that ignores SIGTERM (2 s), and to remove its folder, before the
 * bootstrap's own deadline.
 */
const cleanUpMs = 10_000;

/** Some tens of megabytes over a busy NAT gateway. */
const downloadMs = 120_000;

/** A download site recovers, or a person mends a proxy. */
const downloadPauseMs = 5_000;
const maxDownloadPauseMs = 60_000;

const folderInArchive = 'opsworks-agent-installer';

/** A root login's, as the AWS CLI had it through sudo. */
const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
};

/** What `boot-registration` is told: one line for each key, sorted. */
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

/** What happened in earlier runs of the installer. */
interface Tries {
  names: number;
  failures: number;
  /** Uptime of the first failure. */
  failingSince: number | undefined;
  throttledPauseMs: number;
}

/**
 * Registers; a host name that was taken meanwhile is changed in the trail. Returns when the
 * installer says that it is done, with the record where the node has seen it already. Throws
 * `Unfit` when the installer fails again and again.
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
    // The answer to an earlier run's RegisterInstance may be lost: a second record would stay
    // behind.
    const own = isFirst ? undefined : await findOwn(host, context, target.stackId, signal);
    if (own !== undefined) return own;
    const { folder, provisioning } = await download(host, context, signal);
    // Before the installer runs: after a crash the next run must look before it registers again.
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

/** Until the next try. Throws when there is none. */
function pauseAfter(verdict: InstallerOutcome, exit: Exit, tries: Tries, now: number): number {
  if (verdict === 'throttled') {
    // For as long as the bootstrap has time: a fleet that boots together must not die of it.
    const pauseMs = tries.throttledPauseMs;
    tries.throttledPauseMs = Math.min(pauseMs * 2, maxThrottledPauseMs);
    return jitter(pauseMs);
  }
  // Spreads nodes that were given the same name.
  if (verdict === 'hostname taken') return 2_000 + Math.random() * 3_000;
  tries.failures += 1;
  tries.failingSince ??= now;
  if (tries.failures >= leastTries && now - tries.failingSince >= refusalLastsMs) throw installerFailed(exit);
  return failurePauseMs * (0.8 + 0.4 * Math.random());
}

type InstallerOutcome = 'hostname taken' | 'already registered' | 'throttled' | 'failed';

/** What the installer's last words mean. It passes on what RegisterInstance answered. */
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
 * Nodes that boot together all get the same suggestion, and one of them gets the name: a fleet must
 * not die of that.
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

/** `web-7` of i-0123456789abcdef0 becomes `web-9abcdef0`, cut to what a host name may be. */
function renderOwnName(suggested: string, instanceId: string): string {
  const own = `-${instanceId.slice(-8)}`;
  return suggested.replace(/-?\d+$/, '').slice(0, 63 - own.length) + own;
}

/**
 * The unpacked installer. A page of a proxy, half an archive and a 403 say nothing about this node:
 * tried again, with a fresh address, until the bootstrap's time is up.
 */
async function download(
  host: Host,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<{ folder: string; provisioning: Provisioning }> {
  const { stackId } = opsworksTargetOf(context);
  for (let pauseMs = downloadPauseMs; ; pauseMs = Math.min(pauseMs * 2, maxDownloadPauseMs)) {
    // Outside of `try`: what OpsWorks refuses here is not the download site's fault.
    const provisioning = await callWithRetry(host, context, signal, (callSignal) =>
      host.cloud.readProvisioning(stackId, callSignal),
    );
    try {
      return { folder: await unpack(host, provisioning, context, signal), provisioning };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      host.log.warn('installer not downloaded', { error: messageOf(error), pauseMs });
      // The bootstrap's deadline then says why.
      if (context.leftMs() <= pauseMs)
        throw new Unavailable(`the installer is not there: ${messageOf(error)}`, { cause: error });
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
      // It fetches the agent from S3, and calls OpsWorks itself.
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
