/**
 * Downloads and runs the installer of OpsWorks, which registers this instance and starts the
 * OpsWorks agent.
 */

import type { Config } from '../../../config/config.ts';
import { isLethal } from '../../../core/essentials.ts';
import { ConfigError, Refused, Unavailable, Unfit, messageOf } from '../../../core/errors.ts';
import type { Exit, Host, Provisioning, Registration } from '../../../core/host.ts';
import { jitter, toItsEnd } from '../../../core/retry.ts';
import type { BootstrapContext } from '../../step.ts';
import { callWithRetry } from '../../poll.ts';
import { judgeExit, type InstallerOutcome } from './installer-answer.ts';
import { lethalLastsMs } from './unless-moved.ts';
import { opsworksTargetOf } from './target.ts';

/**
 * After this many tries with names that OpsWorks suggests, the node uses a name that no other node
 * can have.
 */
const maxSuggested = 3;
/** If names made from the instance id are taken as well, the cause is no coincidence. */
const maxNames = 5;

/** A refusal by AWS must come at least three times in a row, and last for `lethalLastsMs`. */
const leastRefusals = 3;
const refusalPauseMs = 12_000;

/**
 * Throttling, a mirror without an answer or a full disk says nothing about the node: the installer
 * runs again for as long as the bootstrap has time. OpsWorks accepts about one call a second from
 * all nodes together.
 */
const failurePauseMs = 20_000;
const maxFailurePauseMs = 60_000;

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
  /** Many nodes register now. They take each suggested name from each other. */
  throttled: boolean;
  /** In a row. */
  refusals: number;
  /** Uptime of the first and of the last of them. */
  refusedSince: number | undefined;
  refusedAt: number;
  failurePauseMs: number;
}

/**
 * Registers the node. If the host name is taken, another one goes into the context. Returns when
 * the installer reports success, with the record if the node has already seen it. Throws `Unfit`
 * when AWS refuses again and again, and `Unavailable` when the bootstrap's time is up.
 */
export async function install(
  host: Host,
  config: Config,
  context: BootstrapContext,
  signal: AbortSignal,
): Promise<Registration | undefined> {
  const target = opsworksTargetOf(context);
  const tries: Tries = {
    names: 0,
    throttled: false,
    refusals: 0,
    refusedSince: undefined,
    refusedAt: 0,
    failurePauseMs,
  };
  let known: Provisioning | undefined;
  for (;;) {
    const { folder, provisioning } = await download(host, context, known, signal);
    // Saved before the installer runs: after a crash, the next run must look for a record before it
    // registers again.
    context.registered = { registrar: 'opsworks', ...target };
    await context.save();
    const exit = await runInstaller(host, folder, provisioning, context, signal);
    if (exit.code === 0) return undefined;
    const outcome = judgeExit(exit);
    host.log.warn('installer failed', { code: exit.code, ...outcome, tail: exit.tail.slice(-500) });
    count(outcome, tries, host.clock.uptime());
    await host.clock.sleep(pauseAfter(outcome, exit, tries, context), signal);
    // Whatever else failed may be the archive's fault.
    known = outcome.kind === 'failed' ? undefined : provisioning;
    // More calls before each try would keep a fleet that boots together throttled for hours. If the
    // installer lost an answer before it was throttled, the node finds two records at the end.
    if (outcome.kind === 'throttled') continue;
    // The answer to RegisterInstance may have been lost. Then OpsWorks refuses the installer's own
    // repetition, and registering again would leave a second record behind.
    const own = await findOwn(host, context, target.stackId, signal);
    if (own !== undefined || outcome.kind === 'already registered') return own;
    if (outcome.kind === 'failed') continue;
    if (outcome.kind === 'refused' && hasLasted(tries, config)) throw refusedBy(outcome.code, exit);
    if (outcome.kind === 'hostname taken') await chooseAnotherHostname(host, config, context, exit, tries, signal);
  }
}

function count({ kind }: InstallerOutcome, tries: Tries, now: number): void {
  tries.throttled ||= kind === 'throttled';
  if (kind === 'failed' || kind === 'throttled') {
    tries.refusals = 0;
    tries.refusedSince = undefined;
    return;
  }
  tries.refusals += 1;
  tries.refusedSince ??= now;
  tries.refusedAt = now;
  if (kind === 'hostname taken') tries.names += 1;
}

function hasLasted({ refusals, refusedSince, refusedAt }: Tries, config: Config): boolean {
  return refusals >= leastRefusals && refusedAt - (refusedSince ?? refusedAt) >= lethalLastsMs(config);
}

function findOwn(
  host: Host,
  context: BootstrapContext,
  stackId: string,
  signal: AbortSignal,
): Promise<Registration | undefined> {
  return callWithRetry(host, context, signal, (callSignal) => host.cloud.findRegistration(stackId, callSignal));
}

/** The pause before the node looks for its record. Throws when there is no time for another try. */
function pauseAfter({ kind }: InstallerOutcome, exit: Exit, tries: Tries, context: BootstrapContext): number {
  // Spreads nodes that received the same name.
  if (kind === 'hostname taken' || kind === 'already registered') return 2_000 + Math.random() * 3_000;
  if (kind === 'refused') return refusalPauseMs * (0.8 + 0.4 * Math.random());
  const pauseMs = jitter(tries.failurePauseMs);
  tries.failurePauseMs = Math.min(tries.failurePauseMs * 2, maxFailurePauseMs);
  // Gives the bootstrap's deadline this reason.
  if (context.leftMs() - cleanUpMs <= pauseMs) throw new Unavailable(describe(exit));
  return pauseMs;
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
  tries: Tries,
  signal: AbortSignal,
): Promise<void> {
  const { layerId } = opsworksTargetOf(context);
  const lasts = hasLasted(tries, config);
  if (config.hostname !== '') {
    // Its own record may be what has the name, and is not listed yet.
    if (!lasts) return;
    const problem = `"${context.hostname}" is taken in the stack; put {shortId} into the template, or remove the record that has the name`;
    throw new ConfigError([{ path: 'hostname', problem }]);
  }
  if (tries.names >= maxNames && lasts) throw refusedBy('ValidationException', exit);
  const { hostname: taken = host.identity.hostname } = context;
  const suggest = (callSignal: AbortSignal) => host.cloud.suggestHostname(layerId, callSignal);
  context.hostname =
    tries.names < maxSuggested && !tries.throttled
      ? await callWithRetry(host, context, signal, suggest)
      : renderOwnName(context.registrarTarget?.suggested ?? taken, host.identity.instanceId);
  host.log.warn('host name taken', { taken, next: context.hostname });
}

/** `web-7` on i-0123456789abcdef0 becomes `web-9abcdef0`, cut to the length of a host name. */
function renderOwnName(suggested: string, instanceId: string): string {
  const own = `-${instanceId.slice(-8)}`;
  return suggested.replace(/-?\d+$/, '').slice(0, 63 - own.length) + own;
}

/**
 * Downloads and unpacks the installer, at first from the `known` address. An error page of a proxy,
 * half an archive or a 403 says nothing about this node. Each is retried, with a fresh address,
 * until the bootstrap's time is up.
 */
async function download(
  host: Host,
  context: BootstrapContext,
  known: Provisioning | undefined,
  signal: AbortSignal,
): Promise<{ folder: string; provisioning: Provisioning }> {
  const { stackId } = opsworksTargetOf(context);
  const read = (callSignal: AbortSignal) => host.cloud.readProvisioning(stackId, callSignal);
  let provisioning = known;
  for (let pauseMs = downloadPauseMs; ; pauseMs = Math.min(pauseMs * 2, maxDownloadPauseMs)) {
    // Outside of `try`: a refusal by OpsWorks here is not the download site's fault.
    provisioning ??= await callWithRetry(host, context, signal, read);
    try {
      return { folder: await unpack(host, provisioning, context, signal), provisioning };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      host.log.warn('installer not downloaded', { error: messageOf(error), pauseMs });
      // Gives the bootstrap's deadline this reason.
      if (context.leftMs() <= pauseMs)
        throw new Unavailable(`the installer cannot be downloaded: ${messageOf(error)}`, { cause: error });
      await host.clock.sleep(jitter(pauseMs), signal);
      provisioning = undefined;
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

function refusedBy(code: string, exit: Exit): Unfit | Refused {
  const why = describe(exit);
  return isLethal('registerInstance', code) ? new Unfit('opsworks-registration', why) : new Refused(why, { code });
}

function describe({ code, tail }: Exit): string {
  const last = tail.trimEnd().split('\n').slice(-3).join(' | ');
  return `the OpsWorks installer ended with exit code ${code}: ${last || 'it said nothing'}`;
}
